"""The settings of a network: the parts that it is assembled from. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, fields

from prodrec.core.base.config import check_ranges, field_default
from prodrec.models.settings.backbone import BackboneSettings
from prodrec.models.settings.classifier import ClassifierSettings
from prodrec.models.settings.heads import HeadSettings
from prodrec.models.settings.long_tail import LongTailSettings
from prodrec.models.settings.titles import TitleSettings


@dataclass(frozen=True)
class NetworkConfig(TitleSettings, LongTailSettings, ClassifierSettings, HeadSettings, BackboneSettings):
    """The parts of a network and their settings (A fig. 1, S fig. 4); `models/network.py` draws how they connect.

    The constructor raises ValueError for a setting that is out of range, contradicts another one, or has no effect
    because its part is off.
    """

    def __post_init__(self) -> None:
        check_ranges(self)
        changed = {field.name for field in fields(self) if getattr(self, field.name) != field_default(field)}
        self.check_backbone(changed)
        self.check_classifier(changed, heads=self.heads, focal_gamma=self.focal_gamma)
        self.check_long_tail(changed, heads=self.heads, label_smoothing=self.label_smoothing)
        self.check_heads(changed)
        self.check_titles(changed, heads=self.heads)
        self._check_start()

    def _check_start(self) -> None:
        """Raise ValueError if classifiers cannot start from texts, the names or titles of their classes."""
        start = self.classifier_start
        if start not in ("class-names", "class-titles"):
            return
        if not self.backbone.startswith("open_clip:"):
            raise ValueError(
                f"classifier_start={start} needs the text tower of backbone=open_clip:NAME, not {self.backbone}."
            )
        if self.weights is None:
            raise ValueError(f"classifier_start={start} needs trained weights, and weights=none is random.")
        if self.embed is not None or self.private_width:
            name = "embed" if self.embed is not None else "private_width"
            raise ValueError(
                f"classifier_start={start} compares the embeddings of texts with those of photos, which {name} would "
                "replace; omit it."
            )
