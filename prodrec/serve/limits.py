"""What the service accepts: sizes, times, keys, and requests per second.

Limits are checked as early as they can be: key and rate before the body is read, sizes while it arrives, pixels before
a photo is decoded.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.base.options import check_ranges, option

MIB = 1 << 20
BYTES_IN_FLIGHT = 512 * MIB
"""Bodies that may be in memory at the same time; more are refused until some are answered."""
MAX_BUCKETS = 10_000
"""Clients whose rate is remembered; the one that was seen longest ago is forgotten first."""
MIN_KEY = 16
"""Characters of the shortest API key: shorter ones could be guessed."""

GROUP = "limits"


@dataclass(frozen=True)
class Limits:
    """The limits of a service, which are options of `prodrec serve`."""

    max_upload: int = option(20, "Largest body of a request, in MiB.", group=GROUP, minimum=1, maximum=500)
    max_pixels: int = option(
        50, "Largest photo, in millions of pixels; checked before it is decoded.", group=GROUP, minimum=1, maximum=500
    )
    max_photos: int = option(16, "Largest number of photos of a request.", group=GROUP, minimum=1, maximum=1000)
    queue: int = option(
        128, "Photos that may wait; a request beyond gets 429 with Retry-After.", group=GROUP, minimum=1
    )
    batch: int = option(32, "Photos that are recognised together, at most.", group=GROUP, minimum=1)
    seconds: float = option(
        10.0, "Time limit: for a body to arrive, and then for its answer.", group=GROUP, minimum=0.1, maximum=3600
    )
    rate: float = option(
        0.0, "Requests per second of one API key, or else of one address; 0 is no limit.", group=GROUP, minimum=0
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.max_photos > self.queue:
            raise BadOption(
                f"--queue {self.queue} is smaller than --max-photos {self.max_photos}, so such a request would always "
                "be refused; raise --queue or lower --max-photos."
            )

    @property
    def body_bytes(self) -> int:
        """Bytes of the largest body."""
        return self.max_upload * MIB

    @property
    def pixels(self) -> int:
        """Pixels of the largest photo."""
        return self.max_pixels * 1_000_000


class ApiKeys:
    """The keys that clients may use, by hash. Comparing takes the same time whatever part of a key is right."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._names_by_hash = {_hash(key): name for name, key in keys.items()}

    @classmethod
    def read(cls, path: Path) -> ApiKeys:
        """Read a file with a key in each line, after a name and a space: `shop 3f9c…`. Lines with # are comments.

        Raise NotFound or BadOption.
        """
        if not path.is_file():
            raise NotFound(f"--api-key-file {path} does not exist; write a name and a key in each line, as `shop KEY`.")
        keys: dict[str, str] = {}
        for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").splitlines(), start=1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or len(words[1]) < MIN_KEY:
                raise BadOption(
                    f"--api-key-file {path}, line {number}: expected a name, a space and a key of at least {MIN_KEY} "
                    "characters; `openssl rand -hex 24` makes one."
                )
            if words[0] in keys:
                raise BadOption(f"--api-key-file {path}, line {number}: the name {words[0]} occurs twice; rename one.")
            keys[words[0]] = words[1]
        if not keys:
            raise BadOption(f"--api-key-file {path} has no key; write a name and a key in each line, as `shop KEY`.")
        return cls(keys)

    def name_of(self, key: str) -> str | None:
        """Return the name of a key, or None if there is no such key."""
        digest, found = _hash(key), None
        for known, name in self._names_by_hash.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class RateLimiter:
    """Lets each client make `rate` requests per second on average, and up to two seconds' worth at once.

    A token bucket for each client: a request takes a token, and tokens come back at the rate.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._size, self._clock = rate, max(1.0, 2 * rate), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take a token of a client and return 0, or return the seconds until it has one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, last = self._buckets.pop(client, (self._size, now))
        tokens = min(self._size, tokens + (now - last) * self._rate)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if is_allowed else tokens, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if is_allowed else (1 - tokens) / self._rate
