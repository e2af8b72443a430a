"""A finished run, loaded to process rows of a dataset in batches, as its training did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodrec.core.base.scoring_views import CENTRE
from prodrec.pipeline.engines import EngineChoice, run_by_engine
from prodrec.pipeline.load import load_network

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.models.families import Recipe
    from prodrec.models.network import RecognitionNetwork


@dataclass(frozen=True)
class ScoringNetwork:
    """The network of a finished run in evaluation mode, and how it takes batches.

    workers:   processes that load photos
    normalise: whether photos are normalised for the network; an engine does it itself
    """

    run: Run
    recipe: Recipe
    network: RecognitionNetwork
    device: torch.device
    batch_size: int
    in_bf16: bool
    channels_last: bool
    workers: int
    normalise: bool = True

    @classmethod
    def load(
        cls,
        run: Run,
        data: Dataset,
        *,
        device: torch.device,
        batch_size: int | None = None,
        precision: str = "auto",
        workers: int | None = None,
        divided: bool = False,
        engine: EngineChoice | None = None,
    ) -> ScoringNetwork:
        """Load the network of `run` for the inputs of `data`.

        batch_size: photos per batch; None is that of training
        precision:  fp32, bf16, or auto, which is that of training
        workers:    processes that load photos; None chooses
        divided:    load only this rank's shard of the classes
        engine:     what computes the features of photos; None is torch

        Raise the errors of `run_by_engine`.
        """
        from prodrec.core.base.device import choose_workers
        from prodrec.models.families import Recipe

        recipe = Recipe.from_json(run.recipe, source=str(run.path))
        arithmetic = run.header["arithmetic"]
        in_bf16 = arithmetic["dtype"] == "bfloat16" if precision == "auto" else precision == "bf16"
        network = load_network(run, recipe, device, channels_last=arithmetic["channels_last"], divided=divided)
        if engine is not None:
            run_by_engine(engine, network, recipe.photos, bfloat16=in_bf16)
        return cls(
            run=run,
            recipe=recipe,
            network=network,
            device=device,
            batch_size=batch_size or recipe.training.batch_size,
            in_bf16=in_bf16,
            channels_last=arithmetic["channels_last"],
            workers=choose_workers(workers, device, photos=data.photos is not None),
            normalise=engine is None or engine.is_torch,
        )

    @property
    def level(self) -> str | None:
        """The deepest level that the network predicts, or None if it predicts attributes alone."""
        heads = self.network.level_heads
        return heads[-1].level if heads else None

    def autocast(self) -> Any:
        """Return the context in which the network computes."""
        import torch

        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.in_bf16)

    def batches(self, data: Dataset, rows: NDArray[np.int64], *, views: str = CENTRE) -> tuple[Iterator[Batch], int]:
        """Return this rank's batches of `rows`, on the device, and how many of them are its own (`rank_batches`).

        views: one of SCORING_VIEWS
        """
        from prodrec.core.data.batches import RowBatches, load_batches
        from prodrec.inference.score import rank_batches

        order, own_batches = rank_batches(rows, batch_size=self.batch_size)
        photos = self.recipe.photos
        form = {"channels_last": self.channels_last, "normalise": self.normalise}
        source = RowBatches(data, photos, augment=False, views=views)
        loaded = load_batches(source, order, workers=self.workers)
        return (batch.to_device(self.device, photos, **form) for batch in loaded), own_batches
