"""Settings of MCR refinement (S §3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption, did_you_mean
from prodrec.core.base.options import check_ranges, option

NORMALISERS = ("level", "related")
PENALTIES = ("identity", "weights")

DEFAULT_K = 3
"""Categories; the value of paper S (§3.3: "We empirically set K to 3")."""


@dataclass(frozen=True)
class MCRSettings:
    """How the weights W are fitted. Raise BadOption if a value is unknown or out of range.

    lambda_:    None chooses λ by cross-validation.
    k:          K of S eq. 4. None means 3; a level with fewer categories uses all of them. "all" means R_c = Ω, which
                needs one fit only.
    normaliser: the denominator of S eq. 2. "level" sums over the categories t of c's level, each with its own features
                f_t. "related" sums over R_c, every t with the features f_c, as printed.
    penalty:    "identity" is λ‖W − I‖², which shrinks towards the raw scores. "weights" is λ‖W‖², as printed.
    tolerance:  the solver stops after a step that lowers the objective by less than this fraction of it.
    """

    lambda_: float | None = option(None, "λ of S eq. 3, the weight of the penalty. [default: by cross-validation]")
    k: int | str | None = option(None, "K of S eq. 4: categories of c's own level in R_c; all: R_c = Ω. [default: 3]")
    normaliser: str = option("level", "Denominator of S eq. 2: a sum over the level, or over R_c (related) as printed.")
    penalty: str = option("identity", "Shrink W towards the identity, or towards 0 (weights) as printed in S eq. 3.")
    candidates: int = option(20, "Categories per level that the first fit on top-k scores considers.", minimum=1)
    folds: int = option(5, "Number of folds of the cross-fitting.", minimum=2)
    iterations: int = option(500, "Maximum number of solver steps.", minimum=1)
    tolerance: float = 1e-7

    def __post_init__(self) -> None:
        for flag, value, choices in (
            ("--normaliser", self.normaliser, NORMALISERS),
            ("--penalty", self.penalty, PENALTIES),
        ):
            if value not in choices:
                raise BadOption(f"{flag} {value}: expected {' or '.join(choices)}{did_you_mean(value, choices)}.")
        if self.lambda_ is not None and not (math.isfinite(self.lambda_) and self.lambda_ >= 0):
            raise BadOption(f"--lambda {self.lambda_:g}: expected auto or a number that is not negative.")
        if (k := self.effective_k) is not None and k < 1:
            raise BadOption(f"--k {k}: expected at least 1, or all.")
        check_ranges(self)

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
