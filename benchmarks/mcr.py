"""Time the fits of MCR: dense against scikit-learn, sparse against dense, and a catalogue of 100,000 leaves.

    python benchmarks/mcr.py                              # 8,000 rows, 200 leaves: about a minute
    python benchmarks/mcr.py --rows 60000 --leaves 547    # the size of paper S: 557 categories
    python benchmarks/mcr.py --large                      # 100,000 leaves, top-100 scores: time and memory

The environment variable OMP_NUM_THREADS sets the number of threads of both sides. scikit-learn is not a requirement of
prodrec and has to be installed for the comparison.

Shapes: N rows; n categories; B rows of a batch; L levels; K top-k classes; P weights.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.refine.dense_level_loss import LevelLoss
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.fit import fit
from prodrec.eval.refine.related_sets import RelatedSets, select_related
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.solver import minimise
from prodrec.eval.refine.tree import Tree

ROOTS = 10


@dataclass(frozen=True)
class Times:
    """Wall-clock seconds, and processor seconds, which other work on the machine changes less."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Times:
        return cls(time.perf_counter(), time.process_time())

    def elapsed(self) -> Times:
        return Times(time.perf_counter() - self.wall, time.process_time() - self.processor)

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.processor:.1f} s of processor)"


def print_ratio(comparison: str, slow: list[Times], fast: list[Times]) -> None:
    """Print how many times as fast the second side is, by the medians of the repeats."""
    wall = statistics.median(times.wall for times in slow) / statistics.median(times.wall for times in fast)
    processor = statistics.median(times.processor for times in slow)
    processor /= statistics.median(times.processor for times in fast)
    print(f"  {comparison}, medians: {wall:.2f} times as fast by the clock, {processor:.2f} by processor seconds")


def numbered(name: str, count: int) -> Texts:
    return Texts.from_strings(f"{name} {i}" for i in range(count))


def draw_taxonomy(leaves: int, random: np.random.Generator) -> Taxonomy:
    parents = np.sort(np.r_[np.arange(ROOTS), random.integers(0, ROOTS, leaves - ROOTS)]).astype(np.int32)
    return Taxonomy(
        levels=("root", "leaf"),
        names=(numbered("root", ROOTS), numbered("leaf", leaves)),
        parents=(np.full(ROOTS, -1, dtype=np.int32), parents),
    )


def draw_scores(tree: Tree, rows: int, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return scores N×n and category numbers N×2: long-tailed classes, siblings that are easily confused, noise."""
    leaves, parent = tree.count(1), tree.parent_n[ROOTS:]
    embedding = random.normal(size=(leaves, 24)).astype(np.float32)
    mean_score = 3 * (embedding @ embedding.T) / 24 + 1.5 * (parent[:, None] == parent)
    np.fill_diagonal(mean_score, 7.0)
    share = random.dirichlet(np.full(leaves, 0.7))
    leaf = np.r_[np.arange(leaves), random.choice(leaves, rows - leaves, p=share)]
    random.shuffle(leaf)
    f_Nn = np.empty((rows, tree.n), dtype=np.float32)
    f_Nn[:, ROOTS:] = mean_score[leaf] + 2 * random.standard_normal((rows, leaves), dtype=np.float32)
    f_Nn[:, :ROOTS] = 2 * random.standard_normal((rows, ROOTS), dtype=np.float32)
    f_Nn[np.arange(rows), parent[leaf]] += 6
    return f_Nn, np.stack([parent[leaf], leaf + ROOTS], axis=1)


def compare_with_scikit_learn(rows: int, leaves: int, lambda_: float, repeats: int) -> None:
    """Time the dense fit of the leaves against scikit-learn, until both have the same objective Σ −log P + λ‖W‖²."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    tree = Tree.from_taxonomy(draw_taxonomy(leaves, random), ("root", "leaf"))
    f_Nn, labels_NL = draw_scores(tree, rows, random)
    accuracy = (f_Nn[:, ROOTS:].argmax(axis=1) == labels_NL[:, 1] - ROOTS).mean()
    print(f"{rows:,} rows, {tree.n} categories, λ = {lambda_:g}; accuracy of the raw leaf scores: {accuracy:.1%}")
    samples = DenseSamples.from_chunks([(f_Nn, labels_NL, np.zeros(rows, dtype=np.int64))])
    complete = RelatedSets.all_categories(tree)
    loss = LevelLoss(samples, complete, 1)
    target_P = np.zeros(loss.weight_count)

    def objective(weights_P: NDArray[np.float64]) -> float:
        return loss.evaluate(weights_P, np.float64)[0] + lambda_ * float(weights_P @ weights_P)

    print("dense fit of the leaves, penalty λ‖W‖², from W = 0; prodrec stops at the objective of scikit-learn:")
    sklearn_times, prodrec_times = [], []
    for _ in range(repeats):
        regression = LogisticRegression(C=0.5 / lambda_, fit_intercept=False, solver="lbfgs", max_iter=1000)
        started = Times.now()
        regression.fit(f_Nn, labels_NL[:, 1])
        sklearn_times.append(started.elapsed())
        goal = objective(regression.coef_.astype(np.float64).ravel())
        started = Times.now()
        result = minimise(loss, lambda_=lambda_, target_P=target_P, tolerance=1e-10, goal=goal)
        prodrec_times.append(started.elapsed())
        print(
            f"  scikit-learn {sklearn_times[-1]}, objective {goal:.3f}, {int(regression.n_iter_[0])} steps;  "
            f"prodrec {prodrec_times[-1]}, objective {objective(result.weights_P):.3f}, {result.iterations} steps, "
            f"{result.evaluations} evaluations ({result.float64_evaluations} in float64), {result.status}"
        )
    print_ratio("prodrec against scikit-learn", sklearn_times, prodrec_times)
    compare_sparse_with_dense(samples, complete, lambda_, repeats)


def compare_sparse_with_dense(samples: DenseSamples, complete: RelatedSets, lambda_: float, repeats: int) -> None:
    """Time the second fit, within R_c of K = 3 and from the first weights, against the first fit with R_c = Ω."""
    print("all levels, penalty λ‖W − I‖²: the first fit with R_c = Ω, then the second fit within R_c of K = 3:")
    settings = MCRSettings()
    dense_times, sparse_times = [], []
    for _ in range(repeats):
        started = Times.now()
        dense = fit(samples, complete, settings, lambda_)
        dense_times.append(started.elapsed())
        selected = select_related(complete, dense.model.weights_P, 3)
        start_P = dense.model.weights_P[complete.find(selected.pairs_P)[0]]
        started = Times.now()
        sparse = fit(samples, selected, settings, lambda_, start_P=start_P)
        sparse_times.append(started.elapsed())
        parts = []
        for name, result, times in (("dense", dense, dense_times[-1]), ("sparse", sparse, sparse_times[-1])):
            evaluations = sum(part.evaluations for part in result.solver)
            weight_count = result.model.related.weight_count
            parts.append(f"{name} {times}, {evaluations} evaluations, {weight_count:,} weights, {result.status}")
        print("  " + ";  ".join(parts))
    print_ratio("the sparse fit against the dense fit", dense_times, sparse_times)


def refine_large(leaves: int, rows: int, top_k: int) -> None:
    """Draw a scores file of `leaves` leaves and refine it as the command does, for one λ and with two folds."""
    from prodrec.eval.refine.refine import refine

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5"
        started = time.perf_counter()
        draw_large(path, leaves, rows, top_k)
        size = path.stat().st_size / 2**20
        print(f"{leaves:,} leaves, {rows:,} rows, top-{top_k}: {size:.0f} MiB in {time.perf_counter() - started:.0f} s")
        started = time.perf_counter()
        result = refine([path], out=Path(folder) / "out.h5", settings=MCRSettings(lambda_=30.0, folds=2))
        seconds = time.perf_counter() - started
        assert result.weights_file is not None and result.fit is not None
        weights_size = result.weights_file.stat().st_size / 2**20
    print(f"two folds and the final fit, each twice, and all rows refined: {seconds:.0f} s")
    print(f"  final fit {result.fit.solver} in {result.fit.solver.seconds} s; {result.fit.cross_validation}")
    print(f"  {result.weight_count:,} weights ({weights_size:.0f} MiB); n² would be {(leaves * 1.0105) ** 2:,.0f}")
    for accuracy in result.accuracies:
        print(f"  {accuracy}")
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def draw_large(path: Path, leaves: int, rows: int, top_k: int) -> None:
    """Write top-k scores of leaves, leaves / 100 middles and leaves / 2000 roots; close class numbers are confused."""
    random = np.random.default_rng(0)
    counts = (leaves // 2000, leaves // 100, leaves)
    taxonomy = Taxonomy(
        levels=("root", "middle", "leaf"),
        names=tuple(numbered(level, count) for level, count in zip(("root", "middle", "leaf"), counts, strict=True)),
        parents=(
            np.full(counts[0], -1, dtype=np.int32),
            (np.arange(counts[1]) // 20).astype(np.int32),
            (np.arange(counts[2]) // 100).astype(np.int32),
        ),
    )
    share = random.permutation(1 / (10 + np.arange(leaves)))
    origin = Origin(run="large", family="large", made_from={"dataset": "drawn"}, splits=("test", "validation"))
    offsets = {level: draw_offsets(count, top_k, random) for level, count in zip(taxonomy.levels, counts, strict=True)}
    with ScoresWriter(
        path, origin=origin, taxonomy=taxonomy, train_images=np.ones(leaves), id_bytes=8, rows=rows
    ) as writer:
        for start in range(0, rows, 4096):
            row_B = np.arange(start, min(start + 4096, rows))
            leaf_B = random.choice(leaves, len(row_B), p=share / share.sum())
            labels_BL = taxonomy.ancestors()[leaf_B]
            scores, classes = {}, {}
            for j, (level, count) in enumerate(zip(taxonomy.levels, counts, strict=True)):
                offsets_BK = np.c_[labels_BL[:, j] * 0, offsets[level][random.integers(0, 256, len(row_B))]]
                classes[level] = (labels_BL[:, j, None] + offsets_BK) % count
                scores[level] = 2 * random.normal(size=offsets_BK.shape) - 0.8 * np.log1p(np.abs(offsets_BK))
                scores[level][:, 0] += 2.5 if level == "leaf" else 6
            writer.append(
                ids=[str(row) for row in row_B],
                rows_B=row_B,
                split_B=np.where(row_B % 5 == 0, 1, 2),
                labels_BL=labels_BL,
                features_BD=np.zeros((len(row_B), 1)),
                scores=scores,
                classes=classes,
            )


def draw_offsets(count: int, top_k: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return 256 rows of differences of class numbers, of which some are small (up to 60) and the others larger."""
    near = np.r_[np.arange(-60, 0), np.arange(1, 61)] if count > 200 else np.arange(1, count)
    far = np.arange(61, count - 60) if count > 200 else np.arange(0)
    wrong = min(top_k, count) - 1
    near_count = len(near) * 2 // 3
    return np.stack(
        [
            np.r_[
                random.choice(near, min(wrong, near_count if len(far) else wrong), replace=False),
                random.choice(far, max(0, wrong - near_count), replace=False) if len(far) else far,
            ]
            for _ in range(256)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="rows [8,000; with --large 60,000]")
    parser.add_argument("--leaves", type=int, help="leaves [200; with --large 100,000]")
    parser.add_argument("--strength", type=float, default=100.0, help="λ of the fits that are compared [100]")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of every comparison, alternating [3]")
    parser.add_argument("--large", action="store_true", help="refine a catalogue of 100,000 leaves instead")
    options = parser.parse_args()
    if options.large:
        refine_large(options.leaves or 100_000, options.rows or 60_000, 100)
    else:
        compare_with_scikit_learn(options.rows or 8_000, options.leaves or 200, options.strength, options.repeats)


if __name__ == "__main__":
    main()
