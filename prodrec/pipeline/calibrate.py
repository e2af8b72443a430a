"""Calibrate the probabilities of a run at its operating points, on validation photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import dist
from prodrec.core.base.turns import gather_in_turn

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Taxonomy
    from prodrec.inference.calibration import Calibration
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.operating_points import OperatingPoint, OperatingPoints
    from prodrec.inference.neighbours.seen import SeenBatch
    from prodrec.pipeline.scoring_network import ScoringNetwork


def write_calibration(
    loaded: ScoringNetwork,
    seen: Sequence[SeenBatch],
    taxonomy: Taxonomy,
    level: str,
    points: OperatingPoints,
    photos: Neighbours | None,
) -> None:
    """Write calibration.json for the natural and the balanced point, unless no photo was seen.

    seen:   what the network sees in the validation photos
    photos: the training photos that vote

    All ranks must call this.
    """
    from prodrec.inference.calibration import CALIBRATION_FILE, write_calibrations
    from prodrec.inference.neighbours.operating_points import BALANCED, NATURAL

    chosen = {name: points.choose(name) for name in (NATURAL, BALANCED)}
    calibrations = calibrate(loaded, seen, taxonomy, level, chosen, photos)
    if calibrations:
        write_calibrations(loaded.run.path / CALIBRATION_FILE, calibrations, run_fingerprint=loaded.run.fingerprint)
    dist.barrier()


def calibrate(
    loaded: ScoringNetwork,
    seen: Sequence[SeenBatch],
    taxonomy: Taxonomy,
    level: str,
    chosen: Mapping[str, OperatingPoint],
    photos: Neighbours | None,
) -> dict[str, Calibration]:
    """Return the calibration of operating points on rank 0; nothing on other ranks, and if no photo was seen.

    seen:   what the network sees in the validation photos
    photos: the photos that vote

    All ranks must call this.
    """
    import torch

    from prodrec.inference.calibration import BEST_CLASSES, fit_calibration
    from prodrec.inference.neighbours.fused import FusedNetwork

    if not seen or not chosen:
        return {}
    network = FusedNetwork(loaded.network, photos)
    k = min(BEST_CLASSES, taxonomy.count(level))

    def best_classes(batch: SeenBatch) -> Any:
        """Return the labels, and for every point the scores and the numbers of the best classes."""
        best = [network.top_k(batch.fused, k, point) for point in chosen.values()]
        return (
            batch.label_B.cpu().numpy(),
            *((one.scores[level].float().cpu().numpy(), one.classes[level].cpu().numpy()) for one in best),
        )

    with torch.inference_mode(), loaded.autocast():
        parts = list(gather_in_turn(map(best_classes, seen), own=sum(batch.is_own for batch in seen)))
    if not dist.is_main():
        return {}
    labels, *of_points = zip(*parts, strict=True)
    label_M = np.concatenate(labels)
    return {
        name: fit_calibration(
            np.concatenate([scores_BK for scores_BK, _ in of_point]),
            np.concatenate([class_BK for _, class_BK in of_point]),
            label_M,
            taxonomy=taxonomy,
            level=level,
            voters=point.voters if point.beta else "",
        )
        for (name, point), of_point in zip(chosen.items(), of_points, strict=True)
    }
