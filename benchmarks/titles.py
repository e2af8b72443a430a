"""Compare what a shop can use when it has the photo and the title of a product: `titled` against common baselines.

    prodrec score runs/titled dataset --with-titles && prodrec score runs/visual dataset
    python benchmarks/titles.py dataset --titled scores/titled-with-titles.h5 --photo scores/visual.h5

Title only: TF-IDF of words and pairs of words with a linear SVM, whose margins become probabilities by a temperature.
Late fusion: this classifier and a photo model, (1 − w)·log p(class | photo) + w·log p(class | title). All scores files
must have the splits validation and test. Give several files of each (one per seed) for a mean and a spread.

The regularisation, the weighting of classes, the temperature and w are chosen on the validation photos. `--missing
0.5` hides the titles of half of the test photos: the photo model then recognises these for the late fusion, and
`--titled-photo` has the scores of `titled` without titles.

scikit-learn is not a requirement of prodrec and has to be installed for this benchmark.

Shapes: R photos of a split, C classes.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray
from peers.measure import TAILS, accuracies
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.scores.reader import open_scores

REGULARISATION = (0.3, 1.0)
"""Values of C of scikit-learn that are tried."""
WEIGHTS = tuple(np.linspace(0, 1, 21))
"""Values of w that are tried."""
BINS = 15
"""Bins of the expected calibration error."""


@dataclass(frozen=True)
class Split:
    """The labelled photos of a split.

    row_R, label_R: rows of the dataset and their deepest classes
    titles:         text of every photo
    """

    row_R: NDArray[np.int64]
    label_R: NDArray[np.int64]
    titles: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="prepared dataset with titles")
    parser.add_argument("--titled", type=Path, nargs="+", required=True, help="scores of titled, with titles")
    parser.add_argument("--titled-photo", type=Path, nargs="*", default=[], help="scores of titled, without titles")
    parser.add_argument("--photo", type=Path, nargs="+", required=True, help="scores of a model of photos alone")
    parser.add_argument("--missing", type=float, default=0.0, help="share of the test titles to hide (0)")
    options = parser.parse_args()
    data = open_dataset(options.dataset)
    splits = {name: read_split(data, name) for name in ("train", "validation", "test")}
    hidden_R = np.random.default_rng(0).random(len(splits["test"].row_R)) < options.missing
    table = Table(splits["test"], data.train_images)

    title_RC = title_classifier(splits)
    title_test_RC, title_validation_RC = title_RC(splits["test"]), title_RC(splits["validation"])
    prior_C = np.log((data.train_images + 1e-9) / data.train_images.sum())
    table.add("title: TF-IDF, linear SVM", np.where(hidden_R[:, None], prior_C, title_test_RC))

    for seed, file in enumerate(options.photo):
        photo_RC, validation_RC = (log_probabilities(file, splits[name]) for name in ("test", "validation"))
        table.add("photo", photo_RC, seed=seed)
        label_R = splits["validation"].label_R
        fused = [(1 - w) * validation_RC + w * title_validation_RC for w in WEIGHTS]
        w = WEIGHTS[int(np.argmax([(scores_RC.argmax(1) == label_R).mean() for scores_RC in fused]))]
        fused_RC = scipy.special.log_softmax((1 - w) * photo_RC + w * title_test_RC, axis=1)
        table.add("late fusion", np.where(hidden_R[:, None], photo_RC, fused_RC), seed=seed)
    for seed, file in enumerate(options.titled):
        titled_RC = log_probabilities(file, splits["test"])
        if hidden_R.any():
            without_RC = log_probabilities(options.titled_photo[seed], splits["test"])
            titled_RC = np.where(hidden_R[:, None], without_RC, titled_RC)
        table.add("titled", titled_RC, seed=seed)
    print(table)


def read_split(data: Dataset, name: str) -> Split:
    """Return the labelled photos of a split of the dataset."""
    row_R = data.rows(name)
    row_R = row_R[data.labels_NL[row_R, -1] >= 0]
    titles = data.products().select("row", "title").sort("row")["title"].fill_null("")
    return Split(row_R, data.labels_NL[row_R, -1].astype(np.int64), titles.gather(row_R).to_list())


def title_classifier(splits: dict[str, Split]) -> Callable[[Split], NDArray[np.float64]]:
    """Fit a linear SVM on TF-IDF for every setting, and return the log-probabilities [R, C] of the best one.

    The best one has the best top-1 on validation. Classes without training photos have a probability near 0.
    """
    train, validation = splits["train"], splits["validation"]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    vectors = vectorizer.fit_transform(train.titles)
    classes = 1 + max(int(split.label_R.max()) for split in splits.values())

    def margins(classifier: LinearSVC, split: Split) -> NDArray[np.float64]:
        margins_RC = np.full((len(split.titles), classes), -50.0)
        margins_RC[:, classifier.classes_] = classifier.decision_function(vectorizer.transform(split.titles))
        return margins_RC

    best, best_top1 = None, -1.0
    for c, class_weight in itertools.product(REGULARISATION, (None, "balanced")):
        classifier = LinearSVC(C=c, class_weight=class_weight).fit(vectors, train.label_R)
        top1 = float((margins(classifier, validation).argmax(1) == validation.label_R).mean())
        print(f"LinearSVC C={c:g} class_weight={class_weight}: {top1:.2%} of the validation photos", flush=True)
        if top1 > best_top1:
            best, best_top1 = classifier, top1
    assert best is not None
    margins_RC, rows = margins(best, validation), np.arange(len(validation.label_R))

    def loss(log_temperature: float) -> float:
        log_p_RC = scipy.special.log_softmax(margins_RC / np.exp(log_temperature), axis=1)
        return -float(log_p_RC[rows, validation.label_R].mean())

    temperature = np.exp(scipy.optimize.minimize_scalar(loss, bounds=(-5, 3), method="bounded").x)
    return lambda split: scipy.special.log_softmax(margins(best, split) / temperature, axis=1)


def log_probabilities(file: Path, split: Split) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities in a scores file for the photos of a split [R, C]."""
    rows, parts = [], []
    with open_scores(file) as scores:
        for chunk in scores.chunks():
            rows.append(chunk.rows_R)
            parts.append(chunk.scores[list(chunk.scores)[-1]])
    row_R = np.concatenate(rows)
    order = np.argsort(row_R)
    found_R = order[np.searchsorted(row_R[order], split.row_R)]
    if not np.array_equal(row_R[found_R], split.row_R):
        raise SystemExit(f"{file} lacks photos of a split; score with --split test,validation.")
    log_p_RC: NDArray[np.float64] = scipy.special.log_softmax(np.concatenate(parts)[found_R].astype(np.float64), axis=1)
    return log_p_RC


class Table:
    """The accuracies of every method on the test photos, as a Markdown table: mean ± spread over the seeds."""

    def __init__(self, test: Split, train_C: NDArray[np.int64]) -> None:
        self.label_R, self.train_C = test.label_R, train_C
        self.rows: dict[str, dict[int, list[float]]] = {}

    def add(self, name: str, log_p_RC: NDArray[np.float64], *, seed: int = 0) -> None:
        best_R = log_p_RC.argmax(1)
        of_tails = [f"tail_{bound}" for bound in TAILS]
        measured = accuracies(self.label_R, best_R, self.train_C)
        error = 100 * expected_calibration_error(np.exp(log_p_RC.max(1)), best_R == self.label_R)
        values = [measured[name] for name in ("top1", "macc", *of_tails)]
        self.rows.setdefault(name, {})[seed] = [np.nan if value is None else float(value) for value in (*values, error)]

    def __str__(self) -> str:
        columns = ["top-1", "MACC", *(f"tail (< {bound})" for bound in TAILS), "calibration error"]
        lines = [f"| | seeds | {' | '.join(columns)} |", "| --- | ---: |" + " --- |" * len(columns)]
        for name, by_seed in self.rows.items():
            values = np.array(list(by_seed.values()))
            cells = [
                f"{mean:.1f}" + (f" ± {spread:.1f}" if len(values) > 1 else "")
                for mean, spread in zip(values.mean(0), values.std(0, ddof=1 if len(values) > 1 else 0), strict=True)
            ]
            lines.append(f"| {name} | {len(values)} | {' | '.join(cells)} |")
        return "\n".join(lines)


def expected_calibration_error(confidence_R: NDArray[np.float64], correct_R: NDArray[np.bool_]) -> float:
    """Return the mean difference between confidence and accuracy over bins of confidence (Guo et al. 2017, eq. 3)."""
    bin_R = np.minimum((confidence_R * BINS).astype(int), BINS - 1)
    gap_b = np.bincount(bin_R, confidence_R - correct_R, minlength=BINS)
    return float(np.abs(gap_b).sum() / len(confidence_R))


if __name__ == "__main__":
    main()
