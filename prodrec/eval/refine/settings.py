"""The settings of MCR refinement (S §3.3), beside what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption, nearest

NORMALISERS = ("level", "related")
PENALTIES = ("identity", "weights")
USUAL_K = 3


@dataclass(frozen=True)
class Settings:
    """How weights are fitted.

    strength:   λ of S eq. 3, or None: chosen by cross-validation among the rows of the fit.
    k:          K of S eq. 4; `usual` is 3, or all of a level that has fewer; `all` is R_c = Ω: one fit, without eq. 4.
    normaliser: what the exponentials of eq. 2 are divided by: `level` sums over c's level, each t with its own f_t;
                `related` sums over R_c, all with f_c, as printed.
    penalty:    `identity` is λ‖W − I‖², which shrinks towards the raw scores; `weights` is λ‖W‖², as printed.
    candidates: categories a level that the first fit on top-k scores considers for each category.
    folds:      parts of the rows of the fit; each part is refined by weights fitted on the others.
    iterations: most steps of the solver. tolerance: a step that gains a smaller share of the objective is the last.
    Raises BadOption.
    """

    strength: float | None = None
    k: int | str = "usual"
    normaliser: str = "level"
    penalty: str = "identity"
    candidates: int = 20
    folds: int = 5
    iterations: int = 500
    tolerance: float = 1e-7

    def __post_init__(self) -> None:
        for option, value, known in (
            ("--normaliser", self.normaliser, NORMALISERS),
            ("--penalty", self.penalty, PENALTIES),
        ):
            if value not in known:
                raise BadOption(f"{option} {value}: expected {' or '.join(known)}{nearest(value, known)}.")
        if self.strength is not None and not (math.isfinite(self.strength) and self.strength >= 0):
            raise BadOption(f"--lambda {self.strength:g}: expected auto or a number that is not negative.")
        for option, number, least in (
            ("--k", 1 if (k := self.most_related) is None else k, 1),
            ("--candidates", self.candidates, 1),
            ("--folds", self.folds, 2),
            ("--iterations", self.iterations, 1),
        ):
            if number < least:
                raise BadOption(f"{option} {number}: expected at least {least}.")

    @property
    def most_related(self) -> int | None:
        """K as a number, or None where there is no second fit."""
        if isinstance(self.k, int):
            return self.k
        if self.k not in ("usual", "all"):
            raise BadOption(f"--k {self.k}: expected a whole number or all.")
        return USUAL_K if self.k == "usual" else None

    def as_json(self) -> dict[str, object]:
        """What was asked for, for the recipe of a refined file."""
        return {
            "lambda": "auto" if self.strength is None else self.strength,
            "k": "all" if self.most_related is None else self.most_related,
            "normaliser": self.normaliser,
            "penalty": self.penalty,
            "candidates": self.candidates,
            "folds": self.folds,
            "iterations": self.iterations,
        }
