"""MCR fits measured: the dense fit against scikit-learn, the sparse refit against the dense fit, and n = 100,000.

    python benchmarks/mcr.py                              # 8,000 rows, 200 leaves: a minute
    python benchmarks/mcr.py --rows 60000 --leaves 547    # the size of paper S: 557 categories
    python benchmarks/mcr.py --large                      # 100,000 leaves, top-100 scores, memory and time

Set OMP_NUM_THREADS to compare on a number of threads. scikit-learn is not among prodrec's own requirements.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.refine.dense import LevelLoss, dense_rows
from prodrec.eval.refine.fit import fit
from prodrec.eval.refine.pattern import everything, most_related
from prodrec.eval.refine.settings import Settings
from prodrec.eval.refine.solver import minimise
from prodrec.eval.refine.tree import Tree, tree_of

ROOTS = 10


def draw_tree(leaves: int, random: Any) -> Taxonomy:
    parents = np.sort(np.r_[np.arange(ROOTS), random.integers(0, ROOTS, leaves - ROOTS)]).astype(np.int32)
    return Taxonomy(
        levels=("root", "leaf"),
        names=(tuple(f"r{i}" for i in range(ROOTS)), tuple(f"l{i}" for i in range(leaves))),
        parents=(np.full(ROOTS, -1, dtype=np.int32), parents),
    )


def draw_scores(tree: Tree, rows: int, random: Any) -> tuple[Any, Any]:
    """Scores N×n in float32 and category numbers N×2: long-tailed classes, confusable siblings, noise."""
    leaves, parent = tree.count(1), tree.parent_n[ROOTS:]
    kind = random.normal(size=(leaves, 24)).astype(np.float32)
    close = 3 * (kind @ kind.T) / 24 + 1.5 * (parent[:, None] == parent)
    np.fill_diagonal(close, 7.0)
    share = random.dirichlet(np.full(leaves, 0.7))
    leaf = np.r_[np.arange(leaves), random.choice(leaves, rows - leaves, p=share)]
    random.shuffle(leaf)
    f_Nn = np.empty((rows, tree.n), dtype=np.float32)
    f_Nn[:, ROOTS:] = close[leaf] + 2 * random.standard_normal((rows, leaves), dtype=np.float32)
    f_Nn[:, :ROOTS] = 2 * random.standard_normal((rows, ROOTS), dtype=np.float32)
    f_Nn[np.arange(rows), parent[leaf]] += 6
    return f_Nn, np.stack([parent[leaf], leaf + ROOTS], axis=1)


def against_scikit_learn(rows: int, leaves: int, strength: float, repeats: int) -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    tree = tree_of(draw_tree(leaves, random), ("root", "leaf"))
    f_Nn, labels_NL = draw_scores(tree, rows, random)
    raw = (f_Nn[:, ROOTS:].argmax(axis=1) == labels_NL[:, 1] - ROOTS).mean()
    print(f"{rows:,} rows, {tree.n} categories, λ = {strength:g}; raw leaf scores are right in {raw:.1%}")
    data, pattern = dense_rows([(f_Nn, labels_NL, np.zeros(rows, dtype=np.int64))]), everything(tree)
    loss = LevelLoss(data, pattern, 1)
    target = np.zeros(loss.size)
    print("dense fit of the leaves, penalty λ‖W‖², both from W = 0, ours until it is as low as scikit-learn ended:")
    times: dict[str, list[Times]] = {"scikit-learn": [], "prodrec": []}
    for _ in range(repeats):
        other = LogisticRegression(C=0.5 / strength, fit_intercept=False, solver="lbfgs", max_iter=1000)
        clock = Times.now()
        other.fit(f_Nn, labels_NL[:, 1])
        times["scikit-learn"].append(clock.until_now())
        w_P = other.coef_.astype(np.float64).ravel()
        goal = loss.evaluate(w_P, np.float64)[0] + strength * float(w_P @ w_P)
        clock = Times.now()
        ours = minimise(loss, strength=strength, target_P=target, tolerance=1e-10, goal=goal)
        times["prodrec"].append(clock.until_now())
        exact = loss.evaluate(ours.values_P, np.float64)[0] + strength * float(ours.values_P @ ours.values_P)
        print(
            f"  scikit-learn {times['scikit-learn'][-1]}, objective {goal:.3f}, {int(other.n_iter_[0])} steps;  "
            f"prodrec {times['prodrec'][-1]}, objective {exact:.3f}, {ours.iterations} steps, "
            f"{ours.evaluations} evaluations ({ours.float64_evaluations} in float64), {ours.status}"
        )
    tell("prodrec against scikit-learn", times["scikit-learn"], times["prodrec"])
    sparse_against_dense(data, pattern, strength, repeats)


def sparse_against_dense(data: Any, pattern: Any, strength: float, repeats: int) -> None:
    print(
        "all levels, penalty λ‖W − I‖²: the fit with R_c = everything, then the refit inside R_c of K = 3, from there:"
    )
    settings, times = Settings(), ([], [])
    for _ in range(repeats):
        clock = Times.now()
        dense = fit(data, pattern, settings, strength)
        times[0].append(clock.until_now())
        chosen = most_related(pattern, dense.weights.values_P, 3)
        start = dense.weights.values_P[pattern.find(chosen.keys_P)[0]]
        clock = Times.now()
        sparse = fit(data, chosen, settings, strength, start_P=start)
        times[1].append(clock.until_now())
        told = []
        for name, found, spent in (("dense", dense, times[0][-1]), ("sparse", sparse, times[1][-1])):
            evaluations = sum(part.evaluations for part in found.solved)
            told.append(
                f"{name} {spent}, {evaluations} evaluations, {found.weights.pattern.size:,} weights, {found.status}"
            )
        print("  " + ";  ".join(told))
    tell("the sparse refit against the dense fit", *times)


@dataclass(frozen=True)
class Times:
    """Seconds on the clock, and seconds of the processor, which other work on the machine changes less."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Times:
        return cls(time.perf_counter(), time.process_time())

    def until_now(self) -> Times:
        return Times(time.perf_counter() - self.clock, time.process_time() - self.processor)

    def __str__(self) -> str:
        return f"{self.clock:.1f} s ({self.processor:.1f} s of processor)"


def tell(what: str, slow: list[Times], fast: list[Times]) -> None:
    ratios = [
        statistics.median(getattr(one, name) for one in slow) / statistics.median(getattr(one, name) for one in fast)
        for name in ("clock", "processor")
    ]
    print(f"  {what}, medians: {ratios[0]:.2f} times as fast by the clock, {ratios[1]:.2f} by processor seconds")


def large(leaves: int, rows: int, kept: int) -> None:
    """Generate a scores file of `leaves` leaves and refine it as the command does, with λ given and two folds."""
    from prodrec.eval.refine.refine import refine

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5"
        started = time.perf_counter()
        draw_large(path, leaves, rows, kept)
        size = path.stat().st_size / 2**20
        print(f"{leaves:,} leaves, {rows:,} rows, top-{kept}: {size:.0f} MiB in {time.perf_counter() - started:.0f} s")
        started = time.perf_counter()
        answer = refine([path], out=Path(folder) / "out.h5", settings=Settings(strength=30.0, folds=2))
        seconds = time.perf_counter() - started
        saved = Path(answer["weights"]).stat().st_size / 2**20
    solver = answer["solver"]
    print(f"two folds and the final fit, each twice, and all rows refined: {seconds:.0f} s")
    print(f"  final fit {solver['final']}; cross-validation {solver['cross_validation']}")
    print(f"  {answer['parameters']:,} weights ({saved:.0f} MiB); n² would be {(leaves * 1.0105) ** 2:,.0f}")
    for figure in answer["figures"]:
        print(f"  {figure['split']} {figure['level']} {figure['metric']} {figure['before']} → {figure['after']}")
    print(f"peak memory of the whole process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def draw_large(path: Path, leaves: int, rows: int, kept: int) -> None:
    """Top-k scores of leaves, leaves / 100 middles and leaves / 2000 roots; classes close in number are confused."""
    random = np.random.default_rng(0)
    counts = (leaves // 2000, leaves // 100, leaves)
    taxonomy = Taxonomy(
        levels=("root", "middle", "leaf"),
        names=tuple(tuple(f"{name}{i}" for i in range(count)) for name, count in zip("rml", counts, strict=True)),
        parents=(
            np.full(counts[0], -1, dtype=np.int32),
            (np.arange(counts[1]) // 20).astype(np.int32),
            (np.arange(counts[2]) // 100).astype(np.int32),
        ),
    )
    share = random.permutation(1 / (10 + np.arange(leaves)))
    origin = Origin(run="large", family="large", made_from={"dataset": "drawn"}, splits=("test", "validation"))
    draw_offsets = {}
    for level, count in zip(taxonomy.levels, counts, strict=True):
        near = np.r_[np.arange(-60, 0), np.arange(1, 61)] if count > 200 else np.arange(1, count)
        far = np.arange(61, count - 60) if count > 200 else np.arange(0)
        many = min(kept, count) - 1
        draw_offsets[level] = np.stack(
            [
                np.r_[
                    random.choice(near, min(many, len(near) * 2 // 3 if len(far) else many), replace=False),
                    random.choice(far, max(0, many - len(near) * 2 // 3), replace=False) if len(far) else far,
                ]
                for _ in range(256)
            ]
        )
    with ScoresWriter(
        path, origin=origin, taxonomy=taxonomy, train_images=np.ones(leaves), id_bytes=8, rows=rows
    ) as writer:
        for start in range(0, rows, 4096):
            number = np.arange(start, min(start + 4096, rows))
            leaf = random.choice(leaves, len(number), p=share / share.sum())
            labels = taxonomy.ancestors()[leaf]
            scores, classes = {}, {}
            for at, (level, count) in enumerate(zip(taxonomy.levels, counts, strict=True)):
                offsets = draw_offsets[level][random.integers(0, 256, len(number))]
                which = (labels[:, at, None] + np.c_[np.zeros(len(number), dtype=int), offsets]) % count
                values = 2 * random.normal(size=which.shape) - 0.8 * np.log1p(np.abs(np.c_[labels[:, at] * 0, offsets]))
                values[:, 0] += 2.5 if level == "leaf" else 6
                scores[level], classes[level] = values, which
            writer.append(
                ids=[str(i) for i in number],
                rows_B=number,
                split_B=np.where(number % 5 == 0, 1, 2),
                labels_BL=labels,
                features_BD=np.zeros((len(number), 1)),
                scores=scores,
                classes=classes,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="rows [8,000; with --large 60,000]")
    parser.add_argument("--leaves", type=int, help="leaves [200; with --large 100,000]")
    parser.add_argument("--strength", type=float, default=100.0, help="λ of the fits against scikit-learn")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repeats")
    parser.add_argument("--large", action="store_true", help="n = 100,000 on top-100 scores instead")
    chosen = parser.parse_args()
    if chosen.large:
        large(chosen.leaves or 100_000, chosen.rows or 60_000, 100)
    else:
        against_scikit_learn(chosen.rows or 8_000, chosen.leaves or 200, chosen.strength, chosen.repeats)


if __name__ == "__main__":
    main()
