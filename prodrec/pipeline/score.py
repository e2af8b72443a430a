"""`prodrec score`: score the photos of a dataset by finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadOption
from prodrec.core.base.scoring_views import CENTRE, SCORING_VIEWS
from prodrec.pipeline.engines import check_engine_device, check_engine_precision
from prodrec.pipeline.index_points import BOTH
from prodrec.pipeline.index_scoring import IndexScoring, open_scoring
from prodrec.pipeline.scoring_targets import ScoreTarget, choose_targets, find_inputs
from prodrec.pipeline.tree_weight import check_tree_weight, load_tree_scores

if TYPE_CHECKING:
    import torch

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run

SHARE_OF_GPU_MEMORY = 0.7
"""Weights that need more than this share of the free memory of a GPU are divided among the ranks by class; the rest is
for photos and activations."""


@dataclass(frozen=True)
class ScoreOptions:
    """How photos are scored; see `score` for the fields.

    Raise BadOption for values that are out of range or contradict each other.
    """

    top_k: int | None = None
    with_titles: bool = False
    batch_size: int | None = None
    precision: str = "auto"
    device: str = "auto"
    workers: int | None = None
    divide_classes: bool = False
    operating_point: str | None = None
    no_neighbours: bool = False
    views: str = CENTRE
    tree_weight: float = 0.0
    engine: str = TORCH
    index: IndexScoring | None = None

    def __post_init__(self) -> None:
        if self.index is not None and (self.no_neighbours or self.with_titles):
            option = "--no-neighbours" if self.no_neighbours else "--with-titles"
            raise BadOption(
                f"{option} and --with-index exclude each other: how products vote was chosen for photos alone, with "
                "the products in place of the training photos; omit one of them."
            )
        if self.views not in SCORING_VIEWS:
            raise BadOption(f"--views {self.views}: expected {', '.join(SCORING_VIEWS)}.")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise BadOption(f"--precision {self.precision}: expected auto, fp32 or bf16.")
        if self.top_k is not None and self.top_k < 1:
            raise BadOption(f"--top-k {self.top_k}: expected at least 1.")
        check_tree_weight(self.tree_weight)
        check_engine_device(self.engine, self.device)
        if self.divide_classes and dist.world_size() == 1:
            raise BadOption("--divide-classes: there is one process; start several with torchrun, or omit it.")
        if self.divide_classes and self.top_k is None:
            raise BadOption("--divide-classes: no rank has the scores of all classes then; add --top-k.")


@dataclass(frozen=True)
class ScoringResult:
    """The score files.

    scored:     for each new file its path ("scores"), run, rows by split, seconds, photos per second, perhaps a "note"
    up_to_date: files that existed already and were kept
    """

    scored: tuple[dict[str, Any], ...]
    up_to_date: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All score files, new ones and those that were up to date."""
        return (*(Path(entry["scores"]) for entry in self.scored), *self.up_to_date)

    def __str__(self) -> str:
        lines = [f"{path} is up to date" for path in self.up_to_date]
        for entry in self.scored:
            rows = ", ".join(f"{count:,} {split}" for split, count in entry["rows"].items())
            speed = f"{entry['photos_per_second']:,.0f} a second"
            lines.append(f"{entry['scores']}: {rows} photos by {entry['run']}, {speed}")
            if "note" in entry:
                lines.append(f"  {entry['note']}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec score --json` prints them."""
        return {"scored": list(self.scored), "up_to_date": [str(path) for path in self.up_to_date]}


def score(
    runs: str | Path | Sequence[str | Path] | None = None,
    dataset: str | Path | None = None,
    *,
    out: str | Path | None = None,
    split: str | None = None,
    top_k: int | None = None,
    with_titles: bool = False,
    operating_point: str | None = None,
    no_neighbours: bool = False,
    views: str = CENTRE,
    tree_weight: float = 0.0,
    with_index: str | Path | None = None,
    by: str = BOTH,
    scored_products: bool = False,
    other_dataset: bool = False,
    batch_size: int | None = None,
    precision: str = "auto",
    device: str = "auto",
    engine: str = TORCH,
    workers: int | None = None,
    divide_classes: bool = False,
    force: bool = False,
) -> ScoringResult:
    """Score photos by finished runs: write features, and unnormalised scores of all classes, to HDF5 files.

    Photos alone are used, as in deployment, unless `with_titles` is set. Everything is checked before the first network
    runs. Runs whose scores are up to date are skipped.

    Args:
        runs: run directories, or names of runs in `runs/`; None is every finished run in `runs/`.
        dataset: directory that `prepare` wrote; None is `dataset`.
        out: scores file, for a single run and operating point; by default `scores/NAME.h5` for the natural point and
            `scores/NAME@balanced.h5` for the balanced one.
        split: names of splits, joined by commas, or all; None is test and validation.
        top_k: keep only the K best classes of every level.
        with_titles: use titles too, if the run was trained with them.
        operating_point: natural (best on photos as they come), balanced (best where all classes matter equally), plain
            (the classifier alone), or default-natural and default-balanced (the same settings for every run, to compare
            runs); several are joined by commas. None is natural and balanced, or natural with `out`.
        no_neighbours: do not let the nearest training photos vote.
        views: views of every photo whose scores are averaged: centre (one), flip (the centre and its mirror image) or
            five-crop (corners and centre). The operating points are those of the centre view.
        tree_weight: add this weight times the log-probabilities of a class's ancestors to its score at the deepest
            level, for runs that predict several levels. The operating points are those of the weight 0.
        with_index: let the products of an index of the run vote in place of its training photos, as `prodrec predict`
            does with an index. Those of the scored splits do not vote.
        by: with an index: classes (the classifier alone), products (their vote alone) or both.
        scored_products: with an index: let products of the scored splits vote too, but none for its own photos or
            their duplicates.
        other_dataset: allow another dataset than that of training. Photos of classes that the run does not know count
            as wrong in reports.
        batch_size: photos per batch; None is that of training.
        precision: fp32, bf16, or auto, which is that of training.
        device: auto, cpu, cuda or cuda:N.
        engine: torch, onnx or openvino (on the CPU), or the directory of an export of the run, which computes the
            features of photos. The files have the name of another engine than torch in theirs.
        workers: processes that load photos; None chooses by the number of cores.
        divide_classes: divide the classes among the ranks; needs `top_k` and several ranks.
        force: replace existing scores.

    Raises:
        NotFound: if a run or the dataset does not exist, or `runs/` has no finished run.
        BadArtefact: for an unfinished or damaged run.
        BadOption: for options that contradict each other or name no split.
        Mismatch: if a run was trained on another dataset, or an export is that of another run.
        OutputExists: if a scores file exists, is out of date and `force` is not set.
    """
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.inference.scoring_checks import choose_splits

    inputs = [runs] if isinstance(runs, str | Path) else list(runs or ())
    named_dataset = None if dataset is None else Path(dataset)
    # Rank 0 decides for all ranks: shared storage may show a file to one machine before another, or never.
    run_paths, dataset_path = dist.run_on_main(lambda: find_inputs([Path(path) for path in inputs], named_dataset))
    data = open_dataset(dataset_path)
    splits = choose_splits(data, split)
    options = ScoreOptions(
        top_k,
        with_titles,
        batch_size,
        precision,
        device,
        workers,
        divide_classes,
        operating_point,
        no_neighbours,
        views,
        tree_weight,
        engine,
        open_scoring(with_index, by, splits, scored_products=scored_products),
    )
    if views != CENTRE and data.photos is None:
        raise BadOption(f"--views {views}: {dataset_path} contains feature vectors, not photos; omit it.")
    targets, up_to_date = dist.run_on_main(
        lambda: choose_targets(
            run_paths,
            data,
            out=None if out is None else Path(out),
            splits=splits,
            top_k=top_k,
            with_titles=with_titles,
            other_dataset=other_dataset,
            operating_point=operating_point,
            neighbours=not no_neighbours,
            views=views,
            tree_weight=tree_weight,
            engine=engine,
            index=options.index,
            force=force,
        )
    )
    for target in targets:
        check_engine_precision(target.engine, precision)
    opened = [(open_run(target.run), target) for target in targets]
    scored = [file for run, target in opened for file in _score_run(run, data, target, splits, options, force=force)]
    return ScoringResult(tuple(scored), tuple(up_to_date))


def _score_run(
    run: Run,
    data: Dataset,
    target: ScoreTarget,
    splits: Sequence[str],
    options: ScoreOptions,
    *,
    force: bool,
) -> list[dict[str, Any]]:
    """Score `splits` of `data` by one run, write the files, and return their entries in `ScoringResult.scored`."""
    from prodrec.core.base.device import choose_device
    from prodrec.inference.merged_classes import merge_classes
    from prodrec.inference.neighbours.fused import FusedNetwork
    from prodrec.inference.score import rows_in_splits
    from prodrec.inference.score import score as score_dataset
    from prodrec.pipeline.load import load_neighbours
    from prodrec.pipeline.scoring_network import ScoringNetwork

    device = choose_device(check_engine_device(options.engine, options.device))
    outputs = target.outputs
    loaded = ScoringNetwork.load(
        run,
        data,
        device=device,
        batch_size=options.batch_size,
        precision=options.precision,
        workers=options.workers,
        divided=options.divide_classes or _exceeds_gpu(run, device, options),
        engine=target.engine,
    )
    rows = rows_in_splits(data, splits)
    batches, own_batches = loaded.batches(data, rows, views=options.views)
    voting = next((point for point in outputs.values() if point.beta), None)
    neighbours = None
    if voting is not None and options.index is not None:
        neighbours = options.index.voters(run, data, rows, device)
    elif voting is not None:
        neighbours = load_neighbours(run, voting, device, sharded=True)
    merged = merge_classes(run.taxonomy, data.taxonomy)
    scored = score_dataset(
        run,
        data,
        FusedNetwork(loaded.network, neighbours, load_tree_scores(run, options.tree_weight, device)),
        batches,
        outputs=outputs,
        own_batches=own_batches,
        splits=splits,
        top_k=options.top_k,
        with_titles=options.with_titles,
        views=options.views,
        tree_weight=options.tree_weight,
        engine=target.engine.name,
        autocast=loaded.autocast(),
        merged=merged,
        force=force,
    )
    note = {} if merged is None else {"note": merged.note(data.labels_NL[rows])}
    return [{**entry, **note} for entry in scored]


def _exceeds_gpu(run: Run, device: torch.device, options: ScoreOptions) -> bool:
    """Return whether the weights are too large for the GPU of any rank. A CPU maps them from the file.

    Return False where the classes cannot be divided: in one process, and for the scores of all classes.
    """
    import torch

    if device.type != "cuda" or dist.world_size() == 1 or options.top_k is None:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return dist.any_rank(run.weights_path.stat().st_size > SHARE_OF_GPU_MEMORY * free)
