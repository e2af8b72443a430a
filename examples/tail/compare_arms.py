"""Tables of the study: accuracies of every arm, and its gain over `visual`, with intervals that include the seeds.

    python examples/tail/compare_arms.py OUT

Reads the scores in OUT/scores and writes OUT/tables.md. Figures are of test photos. `plain` is the classifier alone;
at the other points the nearest training photos vote too. `natural` and `balanced` are what every run has chosen on its
validation photos, so that two arms may trade the head for the tail differently there; the points named `default` have
the same settings for every run.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import open_run

TAIL_BELOW, FEW_BELOW = 50, 10
"""Training photos of the classes in the columns `tail` and `few`."""
BASELINE = "visual"
POINTS = ("natural", "plain", "default-natural", "default-balanced", "balanced")


def scores_file(out: Path, name: str, point: str) -> Path:
    """Return the scores file of a run at a point."""
    return out / "scores" / (f"{name}.h5" if point == "natural" else f"{name}@{point}.h5")


def write(out: Path) -> Path:
    """Write the tables of all scores so far and return their file."""
    measured: dict[str, dict[tuple[str, str], dict[str, Photos]]] = defaultdict(lambda: defaultdict(dict))
    for file in sorted((out / "scores").glob("*.h5")):
        name, _, point = file.stem.partition("@")
        classes, rest = name.split("-", 1)
        arm, seed = rest.rsplit("-", 1)
        measured[classes][point or "natural", arm][seed] = Photos(file, out / "runs" / name)
    lines = ["# Where titles help\n"]
    for classes, arms in measured.items():
        lines += table(classes, arms)
    path = out / "tables.md"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


class Photos:
    """The test photos of a scores file, and whether each is recognised.

    correct_R: whether the best class is right, 0 or 1
    weights:   by measure, the weight of every photo; a measure is the weighted mean of correct_R
    """

    def __init__(self, file: Path, run: Path) -> None:
        opened = open_run(run)
        level, train_C = opened.taxonomy.leaf_level, opened.train_images
        correct, labels = [], []
        with open_scores(file) as scores:
            for chunk in scores.chunks(split="test"):
                labels_R = chunk.labels_RL[:, -1]
                correct.append(chunk.scores[level].argmax(1)[labels_R >= 0] == labels_R[labels_R >= 0])
                labels.append(labels_R[labels_R >= 0])
        self.correct_R = np.concatenate(correct).astype(float)
        label_R = np.concatenate(labels)
        per_class_R = 1 / np.bincount(label_R)[label_R]
        train_R = train_C[label_R]
        self.weights = {
            "top-1": np.ones(len(label_R)),
            "MACC": per_class_R,
            f"tail (< {TAIL_BELOW})": (train_R < TAIL_BELOW).astype(float),
            f"few (< {FEW_BELOW})": (train_R < FEW_BELOW).astype(float),
        }
        self.weights = {name: weight_R / weight_R.sum() for name, weight_R in self.weights.items()}

    def accuracies(self) -> dict[str, float]:
        return {name: 100 * float(weight_R @ self.correct_R) for name, weight_R in self.weights.items()}


def table(classes: str, arms: dict[tuple[str, str], dict[str, Photos]]) -> list[str]:
    """Return the Markdown table of one kind of classes."""
    measures = list(next(iter(next(iter(arms.values())).values())).weights)
    lines = [f"## leaf x {classes}\n", f"| point | arm | seeds | {' | '.join(measures)} |"]
    lines.append("| --- | --- | ---: |" + " --- |" * len(measures))
    for point in POINTS:
        baseline = arms.get((point, BASELINE), {})
        for (its_point, arm), seeds in arms.items():
            if its_point != point:
                continue
            cells = []
            for measure in measures:
                values = [photos.accuracies()[measure] for photos in seeds.values()]
                cell = f"{np.mean(values):.1f}"
                if len(values) > 1:
                    cell += f" ± {np.std(values, ddof=1):.1f}"
                if arm != BASELINE and (common := sorted(seeds.keys() & baseline.keys())):
                    cell += " " + gain([seeds[s] for s in common], [baseline[s] for s in common], measure)
                cells.append(cell)
            lines.append(f"| {point} | {arm} | {len(seeds)} | {' | '.join(cells)} |")
    return [*lines, ""]


def gain(runs: list[Photos], baselines: list[Photos], measure: str) -> str:
    """Return the mean gain over the seeds, with an interval over photos and seeds.

    Variance over photos: that of the weighted mean of the paired differences, averaged over the seeds. Variance over
    seeds: that of the gains, divided by their number. The quantile is Student's, with the degrees of freedom of Welch
    and Satterthwaite. With one seed the interval is over photos only.
    """
    weight_R: NDArray[np.float64] = runs[0].weights[measure]
    differences_SR = np.stack([a.correct_R - b.correct_R for a, b in zip(runs, baselines, strict=True)])
    gains_S = 100 * differences_SR @ weight_R
    centred_R = differences_SR.mean(0) - differences_SR.mean(0) @ weight_R
    over_photos = float(((100 * weight_R * centred_R) ** 2).sum())
    over_seeds = float(gains_S.var(ddof=1) / len(gains_S)) if len(gains_S) > 1 else 0.0
    freedom = (over_photos + over_seeds) ** 2 / max(over_seeds**2 / max(1, len(gains_S) - 1), 1e-12)
    half = stats.t.ppf(0.975, freedom) * (over_photos + over_seeds) ** 0.5
    return f"({gains_S.mean():+.1f} [{gains_S.mean() - half:+.1f}, {gains_S.mean() + half:+.1f}])"


if __name__ == "__main__":
    print(write(Path(sys.argv[1])).read_text("utf-8"))
