"""What Prometheus reads at /metrics. Every service has a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "Metrics"]

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters, histograms and gauges of a service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("prodrec_requests", "Answered requests.", ("route", "status"), registry=self._registry)
        self.seconds = Histogram(
            "prodrec_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self.photos = Counter("prodrec_photos", "Recognised photos.", registry=self._registry)
        self.batches = Histogram("prodrec_batch_photos", "Photos of a batch.", buckets=BATCHES, registry=self._registry)
        self.batch_seconds = Counter(
            "prodrec_batch_seconds", "Seconds in which batches were computed.", registry=self._registry
        )
        self.waiting = Gauge("prodrec_waiting_photos", "Photos in the queue.", registry=self._registry)
        self.active = Gauge("prodrec_active_requests", "Requests that are being answered.", registry=self._registry)
        self.index_version = Gauge(
            "prodrec_index_version", "Version of the index; 0 without an index.", registry=self._registry
        )
        self.run = Info("prodrec_run", "The run that recognises.", registry=self._registry)

    def count_batch(self, photos: int, seconds: float) -> None:
        """Count a batch that was computed."""
        self.photos.inc(photos)
        self.batches.observe(photos)
        self.batch_seconds.inc(seconds)

    def text(self) -> bytes:
        """Return all values in the text format of Prometheus."""
        return generate_latest(self._registry)

    def recognised(self) -> int:
        """Return the number of photos that were recognised."""
        return int(self._registry.get_sample_value("prodrec_photos_total") or 0)
