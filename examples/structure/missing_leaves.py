"""What MCR does to leaves without a validation photo: a third of the leaves loses its validation photos before the fit.

    python examples/structure/missing_leaves.py SCORES… [--draws 3] [--share 0.3333]

SCORES are files of `prodrec score` with test and validation photos. For every file, W is fitted with all leaves and
with several random draws of the missing ones, by `prodrec.refine_mcr` as it is by default. The table has the change of
ACC and MACC on the test photos, and of ACC on those of the missing leaves.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

import prodrec
from prodrec.core.base.accuracy import accuracy, mean_class_accuracy
from prodrec.core.base.artefact import SPLITS
from prodrec.core.scores.reader import open_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, nargs="+", help="files of prodrec score")
    parser.add_argument("--draws", type=int, default=3, help="draws of the missing leaves (3)")
    parser.add_argument("--share", type=float, default=1 / 3, help="share of the leaves that are missing (1/3)")
    options = parser.parse_args()
    print("| scores | leaves | ACC | MACC | test photos of missing leaves | their ACC |")
    print("| --- | --- | --- | --- | --- | --- |")
    for file in options.scores:
        with open_scores(file) as scores:
            levels = ",".join(scores.scored_levels)
            label_N = np.concatenate([chunk.labels_RL[:, -1] for chunk in scores.chunks(levels=())])
        raw_C2 = test_counts(file)
        leaves = len(raw_C2)
        for draw in range(options.draws + 1):
            missing = np.zeros(leaves, bool)
            if draw:
                chosen = np.random.default_rng(draw).choice(leaves, round(options.share * leaves), replace=False)
                missing[chosen] = True
            with tempfile.TemporaryDirectory() as folder:
                reduced, refined = Path(folder) / "reduced.h5", Path(folder) / "refined.h5"
                drop_validation_rows(file, reduced, missing[label_N])
                prodrec.refine_mcr(reduced, out=refined, levels=levels)
                print_row(file, draw, raw_C2, test_counts(refined), missing)


def print_row(
    file: Path, draw: int, raw_C2: NDArray[np.int64], refined_C2: NDArray[np.int64], missing_C: NDArray[np.bool_]
) -> None:
    """Print the change of the accuracies in points. The counts of a leaf are its photos, and those that are right."""
    photos_C, raw_right_C = raw_C2.T
    right_C = refined_C2[:, 1]
    acc = accuracy(right_C, photos_C) - accuracy(raw_right_C, photos_C)
    macc = mean_class_accuracy(right_C, photos_C) - mean_class_accuracy(raw_right_C, photos_C)
    photos = int(photos_C[missing_C].sum())
    change = f"{100 * (right_C - raw_right_C)[missing_C].sum() / photos:+.2f}" if photos else ""
    leaves = f"draw {draw}" if draw else "all"
    print(f"| {file.stem} | {leaves} | {100 * acc:+.2f} | {100 * macc:+.2f} | {photos:,} | {change} |", flush=True)


def test_counts(file: Path) -> NDArray[np.int64]:
    """Return the test photos of every leaf, and how many of them are right: int64 [C, 2]."""
    with open_scores(file) as scores:
        leaf = scores.levels[-1]
        counts_C2 = np.zeros((scores.taxonomy.count(leaf), 2), np.int64)
        for chunk in scores.chunks("test", levels=(leaf,)):
            labels_R = chunk.labels_RL[:, -1]
            right_R = chunk.scores[leaf].argmax(axis=1) == labels_R
            counts_C2[:, 0] += np.bincount(labels_R, minlength=len(counts_C2))
            counts_C2[:, 1] += np.bincount(labels_R[right_R], minlength=len(counts_C2))
    return counts_C2


def drop_validation_rows(file: Path, reduced: Path, missing_N: NDArray[np.bool_]) -> None:
    """Write a scores file without those of the missing rows that are of the validation split."""
    with h5py.File(file, locking=False) as source, h5py.File(reduced, "w") as target:
        rows = int(source.attrs["rows"])
        dropped_N = (source["split"][:] == SPLITS.index("validation")) & missing_N

        def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Group):
                target.require_group(name)
                return
            values = item[:]
            target[name] = values[~dropped_N] if len(values) == rows and not name.startswith("classes/") else values

        source.visititems(copy)
        for key, value in source.attrs.items():
            target.attrs[key] = value
        target.attrs["rows"] = rows - int(dropped_N.sum())


if __name__ == "__main__":
    main()
