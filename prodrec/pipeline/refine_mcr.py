"""`prodrec refine-mcr`: refine the scores of every level by those of the other levels (MCR, paper S §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.config import split_list
from prodrec.core.base.errors import BadOption, NotFound, OutputExists

if TYPE_CHECKING:
    from prodrec.core.scores.reader import Scores
    from prodrec.eval.refine.refinement import Refinement
    from prodrec.eval.refine.settings import MCRSettings


@dataclass(frozen=True)
class RefinementResult:
    """The refined score files.

    refined:    for each new file, the settings of the fit and the accuracy of every level before and after
    up_to_date: refined files that existed already and were kept
    """

    refined: tuple[Refinement, ...]
    up_to_date: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All refined score files, new ones and those that were up to date."""
        return (*(refinement.scores for refinement in self.refined), *self.up_to_date)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.refined), *(f"{path} is up to date" for path in self.up_to_date)])

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec refine-mcr --json` prints them."""
        return {
            "refined": [refinement.as_json() for refinement in self.refined],
            "up_to_date": [str(path) for path in self.up_to_date],
        }


def refine_mcr(
    scores: str | Path | Sequence[str | Path] | None = None,
    *,
    out: str | Path | None = None,
    fit: str = "validation",
    lambda_: float | None = None,
    k: int | str | None = None,
    normaliser: str = "level",
    penalty: str = "identity",
    levels: str | None = None,
    weights: str | Path | None = None,
    save_weights: str | Path | None = None,
    candidates: int = 20,
    folds: int = 5,
    iterations: int = 500,
    fit_on_judged: bool = False,
    force: bool = False,
) -> RefinementResult:
    """Refine scores by multiclass regression over all levels of the category tree.

    Rows that the fit uses get scores from weights fitted without them (cross-fitting).

    Args:
        scores: one file with several levels, or one file for each level; None refines every file in `scores/` that has
            several levels.
        out: refined scores; by default `scores/NAME-mcr.h5`.
        fit: splits whose rows the weights are fitted on, joined by commas.
        lambda_: λ of the penalty; None chooses it by cross-validation.
        k: number of categories in R_c from c's own level, or all; None is 3, or all if the level has fewer.
        normaliser: level or related: the categories in the sum of eq. 2; see `prodrec refine-mcr --help`.
        penalty: identity shrinks the weights towards the raw scores, weights towards 0.
        levels: levels to refine, joined by commas; None is all that are scored.
        weights: file of fitted weights to apply, instead of fitting.
        save_weights: file for the fitted weights; by default `out` with the ending .weights.hdf5.
        candidates: categories of each level in the first fit of each category, for top-k scores.
        folds: folds of the cross-fitting.
        iterations: maximum number of steps of the solver.
        fit_on_judged: allow fitting on test rows, or applying weights to the rows that they were fitted on.
        force: replace existing files.

    Raises:
        NotFound: if there is nothing to refine.
        BadOption: for options that contradict each other or are out of range.
        Mismatch: if files are of different datasets or rows.
        OutputExists: if an existing file was refined from other scores or settings and `force` is not set.
    """
    from prodrec.eval.refine.refine import refine
    from prodrec.eval.refine.settings import MCRSettings

    settings = MCRSettings(
        lambda_=lambda_,
        k=k,
        normaliser=normaliser,
        penalty=penalty,
        candidates=candidates,
        folds=folds,
        iterations=iterations,
    )
    splits = split_list(fit)
    if weights is not None:
        changed = {"--lambda": lambda_ is not None, "--k": k is not None, "--save-weights": save_weights is not None}
        changed |= {"--normaliser": normaliser != "level", "--penalty": penalty != "identity"}
        changed |= {"--fit": fit != "validation"}
        if ignored := [option for option, is_set in changed.items() if is_set]:
            raise BadOption(
                f"--weights {weights}: nothing is fitted, so {', '.join(ignored)} would do nothing; omit it."
            )
    out = None if out is None else Path(out)
    save_weights = None if save_weights is None else Path(save_weights)
    files = [scores] if isinstance(scores, str | Path) else list(scores or ())
    groups: list[list[Path]] = [[Path(file) for file in files]]
    up_to_date: list[Path] = []
    if not files:
        groups, up_to_date = _find_groups(out, save_weights, settings, splits, force=force)
    refined = [
        refine(
            group,
            out=out,
            settings=settings,
            fit_on=splits,
            weights=None if weights is None else Path(weights),
            save_weights=save_weights,
            levels=None if levels is None else split_list(levels),
            fit_on_judged=fit_on_judged,
            force=force,
        )
        for group in groups
    ]
    return RefinementResult(tuple(refined), tuple(up_to_date))


def _find_groups(
    out: Path | None, save_weights: Path | None, settings: MCRSettings, fit_on: tuple[str, ...], *, force: bool
) -> tuple[list[list[Path]], list[Path]]:
    """Return a group of one file for each file in `scores/` with several levels, and the refined files up to date.

    Raise NotFound if there is nothing to refine, OutputExists if a file was refined from other scores or with other
    settings, BadOption if `out` or `save_weights` names one file for several results.
    """
    from prodrec.core.scores.reader import open_scores
    from prodrec.eval.refine.checks import default_output_path
    from prodrec.eval.report.find_scores import find_scores

    groups, up_to_date, single_level = [], [], []
    for path in find_scores(Path("scores")):
        with open_scores(path) as scores:
            if "mcr" in scores.origin.recipe:
                continue
            if len(scores.scored_levels) < 2 or scores.levels[-1] not in scores.scored_levels:
                single_level.append(f"{path} ({', '.join(scores.scored_levels) or 'attributes'})")
                continue
            target = out or default_output_path(path)
            if force or not target.exists():
                groups.append([path])
                continue
            _check_up_to_date(target, scores, settings, fit_on)
            up_to_date.append(target)
    if not groups and not up_to_date:
        raise NotFound(
            f"no file of scores/ has several levels (found {'; '.join(single_level) or 'refined ones only'}); name the "
            "files of one dataset together, one for each level, or refine the leaves by themselves with --levels."
        )
    for text in single_level:
        console.info(f"{text} has a single level and is skipped; name it together with the others of its dataset")
    single_output = out or save_weights
    if len(groups) > 1 and single_output is not None:
        raise BadOption(f"{single_output} is one place for {len(groups)} files; name one file, or omit it.")
    return groups, up_to_date


def _check_up_to_date(target: Path, scores: Scores, settings: MCRSettings, fit_on: tuple[str, ...]) -> None:
    """Raise OutputExists unless `target` was refined from `scores` with these settings."""
    from prodrec.core.scores.reader import open_scores

    with open_scores(target) as refined:
        sources = {
            fingerprint for kind, fingerprint in refined.origin.made_from.items() if kind.startswith("scores of")
        }
        recorded = refined.origin.recipe.get("mcr", {})
    if sources != {scores.fingerprint}:
        raise OutputExists(f"{target} exists and is not of {scores.path} as it is now; add --force to replace it.")
    current = {**settings.as_json(), "fit": list(fit_on)}
    if changed := [name for name, value in current.items() if recorded.get(name) != value]:
        raise OutputExists(
            f"{target} exists and was refined with another {' and '.join(changed)}; add --force to replace it."
        )
