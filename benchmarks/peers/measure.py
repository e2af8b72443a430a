"""The accuracies of `recognition.py`. All of them, prodrec's too, are computed here from files of predicted classes.

Shapes: R test photos, C classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

TAILS = (100, 20)
"""Classes with fewer training photos are a tail: 100 is the bound of prodrec's reports."""


def measure(predictions: Path, photos: Path) -> dict[str, float | None]:
    """Return the accuracies of the predictions in percent, and the photos and classes that each of them covers.

    predictions: a table with the columns photo and class, with every test photo once
    photos:      the folder that `export_photos` wrote

    Raise ValueError if the photos of the predictions are not the test photos.
    """
    test = pl.read_csv(photos / "test.csv")
    predicted = pl.read_csv(predictions)
    if sorted(predicted["photo"].to_list()) != sorted(test["photo"].to_list()):
        raise ValueError(
            f"{predictions} has {len(predicted):,} photos, which are not the {len(test):,} test photos of {photos}; "
            "delete it and run the line again."
        )
    joined = test.join(predicted, on="photo", suffix="_predicted")
    return accuracies(
        joined["class"].to_numpy(),
        joined["class_predicted"].to_numpy(),
        pl.read_csv(photos / "classes.csv")["train_photos"].to_numpy(),
    )


def accuracies(
    label_R: NDArray[np.int64], predicted_R: NDArray[np.int64], train_C: NDArray[np.int64]
) -> dict[str, float | None]:
    """Return the accuracies in percent.

    label_R, predicted_R: true and predicted class of every test photo
    train_C:              training photos of every class

    top1:       share of test photos whose class is predicted
    macc:       mean over the classes with test photos of the share of their test photos that are predicted
    tail_N:     share of test photos whose class is predicted, over the classes with fewer than N training photos;
                None without such test photos
    """
    correct_R = label_R == predicted_R
    test_C = np.bincount(label_R, minlength=len(train_C))
    correct_C = np.bincount(label_R[correct_R], minlength=len(train_C))
    has_test_C = test_C > 0
    result: dict[str, float | None] = {
        "top1": 100 * float(correct_R.mean()),
        "macc": 100 * float((correct_C[has_test_C] / test_C[has_test_C]).mean()),
        "photos": len(label_R),
        "classes": int(has_test_C.sum()),
    }
    for bound in TAILS:
        in_tail_C = train_C < bound
        photos = int(test_C[in_tail_C].sum())
        result[f"tail_{bound}"] = 100 * float(correct_C[in_tail_C].sum()) / photos if photos else None
        result[f"photos_of_tail_{bound}"] = photos
        result[f"classes_of_tail_{bound}"] = int((in_tail_C & has_test_C).sum())
    return result
