"""Train on from an earlier run whose classes may be others: `weights=RUN`.

The backbone loads its own weights from the run. Here the layers after it are loaded, and the row of every class that
the run has too. Classes are matched by their paths, never by number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import console
from prodrec.core.base.class_matching import match_classes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.models.families import Recipe
    from prodrec.models.heads import LevelHead
    from prodrec.models.network import RecognitionNetwork

SHARED_LAYERS = ("attention", "embed")
"""Parts of a network between the backbone and the heads."""


class EarlierRun:
    """The run that `weights` names, beside the networks of a new training: its own and, with ema, the average."""

    def __init__(self, run: Run, networks: Sequence[RecognitionNetwork]) -> None:
        self.run, self.networks, self.weights = run, networks, run.weights()
        self._fitting_levels: set[str] = set()

    @classmethod
    def of(cls, recipe: Recipe, networks: Sequence[RecognitionNetwork]) -> EarlierRun | None:
        """Return the run, or None if `weights` names none. Raise BadArtefact if it is unfinished or damaged."""
        from prodrec.core.training.run import open_run

        path = recipe.network.weights
        if path is None or not (Path(path) / "run.json").is_file():
            return None
        run = open_run(Path(path))
        run.require_finished()
        return cls(run, networks)

    def load_layers(self) -> None:
        """Load the attention, the layers of the visual feature and the private layers, if they have the same shapes."""
        for network in self.networks:
            loaded = [self._load(getattr(network, part), f"{part}.") for part in SHARED_LAYERS]
            for head in network.level_heads:
                if self._load(head.private, f"heads.{head.module_name}.private.") and all(loaded):
                    self._fitting_levels.add(head.level)

    def load_classes(self, data: Dataset) -> None:
        """Set the rows of the classes that the run has, where its classifier sees the same feature. Say how many."""
        taxonomy = data.taxonomy
        if taxonomy.levels != self.run.taxonomy.levels:
            console.info(f"{self.run.path} has other levels: all classes are learnt anew.")
            return
        matches = dict(zip(taxonomy.levels, match_classes(taxonomy, self.run.taxonomy), strict=True))
        for network in self.networks:
            for head in network.level_heads:
                known_C = matches[head.level]
                is_carried = head.level in self._fitting_levels and self._set_rows(head, known_C)
                if network is self.networks[0]:
                    known = int((known_C >= 0).sum()) if is_carried else 0
                    classes = f"{known:,} of {len(known_C):,} classes of level {head.level}"
                    console.info(f"{classes} start from those of {self.run.path}.")

    def _load(self, module: nn.Module | None, prefix: str) -> bool:
        """Load a module from the weights whose names begin with `prefix`. Return False if they are others."""
        saved = _with_prefix(self.weights, prefix)
        own = {} if module is None else module.state_dict()
        if {key: value.shape for key, value in saved.items()} != {key: value.shape for key, value in own.items()}:
            return False
        if module is not None:
            module.load_state_dict(saved)
        return True

    def _set_rows(self, head: LevelHead, known_C: NDArray[np.int64]) -> bool:
        """Set the rows of the known classes on this rank. Return False if the run has another kind of classifier."""
        import torch

        classifier = head.classifier
        saved = _with_prefix(self.weights, f"heads.{head.module_name}.classifier.")
        own = dict(classifier.named_parameters())
        if own.keys() != saved.keys() or own["weight"].shape[1:] != saved["weight"].shape[1:]:
            return False
        known_N = torch.from_numpy(known_C[classifier.local])
        is_known_N = known_N >= 0
        with torch.no_grad():
            for name, parameter in own.items():
                if parameter.ndim:
                    rows = saved[name][known_N[is_known_N]].to(parameter)
                    parameter[is_known_N.to(parameter.device)] = rows
                else:  # the scale of a cosine classifier
                    parameter.copy_(saved[name])
        return True


def _with_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
