"""Settings of MCR refinement (S §3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption, did_you_mean

NORMALISERS = ("level", "related")
PENALTIES = ("identity", "weights")

DEFAULT_K = 3
"""Categories; the value of paper S (§3.3: "We empirically set K to 3")."""


@dataclass(frozen=True)
class MCRSettings:
    """How the weights W are fitted.

    lambda_:    λ of S eq. 3. None chooses λ by cross-validation.
    k:          K of S eq. 4. None is 3, or every category of a level that has fewer. "all" sets R_c = Ω for every c,
                which needs one fit and no eq. 4.
    normaliser: what the exponential in S eq. 2 is divided by. "level" sums over the categories t of c's level, each
                with its own features f_t. "related" sums over R_c, every t with the features f_c, as printed.
    penalty:    "identity" is λ‖W − I‖², which shrinks towards the raw scores. "weights" is λ‖W‖², as printed.
    candidates: categories per level that the first fit on top-k scores considers for each category.
    folds:      number of folds of the cross-fitting.
    iterations: maximum number of solver steps.
    tolerance:  the solver stops after a step that lowers the objective by less than this fraction of it.

    Raise BadOption if a value is unknown or out of range.
    """

    lambda_: float | None = None
    k: int | str | None = None
    normaliser: str = "level"
    penalty: str = "identity"
    candidates: int = 20
    folds: int = 5
    iterations: int = 500
    tolerance: float = 1e-7

    def __post_init__(self) -> None:
        for option, value, choices in (
            ("--normaliser", self.normaliser, NORMALISERS),
            ("--penalty", self.penalty, PENALTIES),
        ):
            if value not in choices:
                raise BadOption(f"{option} {value}: expected {' or '.join(choices)}{did_you_mean(value, choices)}.")
        if self.lambda_ is not None and not (math.isfinite(self.lambda_) and self.lambda_ >= 0):
            raise BadOption(f"--lambda {self.lambda_:g}: expected auto or a number that is not negative.")
        for option, number, minimum in (
            ("--k", 1 if (k := self.effective_k) is None else k, 1),
            ("--candidates", self.candidates, 1),
            ("--folds", self.folds, 2),
            ("--iterations", self.iterations, 1),
        ):
            if number < minimum:
                raise BadOption(f"{option} {number}: expected at least {minimum}.")

    @property
    def effective_k(self) -> int | None:
        """Return K as a number, or None if R_c = Ω. Raise BadOption if `k` is a text other than "all"."""
        if isinstance(self.k, str):
            if self.k != "all":
                raise BadOption(f"--k {self.k}: expected a whole number or all.")
            return None
        return DEFAULT_K if self.k is None else self.k

    def as_json(self) -> dict[str, object]:
        """Return the settings as stored in the recipe of a refined scores file."""
        return {
            "lambda": "auto" if self.lambda_ is None else self.lambda_,
            "k": "all" if self.effective_k is None else self.effective_k,
            "normaliser": self.normaliser,
            "penalty": self.penalty,
            "candidates": self.candidates,
            "folds": self.folds,
            "iterations": self.iterations,
        }
