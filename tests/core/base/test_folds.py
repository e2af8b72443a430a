from __future__ import annotations

import numpy as np

from prodrec.core.base.folds import assign_folds


def test_groups_stay_together_and_folds_are_about_equal() -> None:
    groups = np.arange(3000) // 3
    folds = assign_folds(groups, 5)
    assert (folds.reshape(-1, 3) == folds[::3, None]).all()
    assert np.bincount(folds, minlength=5).min() > 500
