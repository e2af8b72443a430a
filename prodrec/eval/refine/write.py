"""Writes refined scores in pieces, every row by weights that have not seen it, and judges before and after.

Shapes: R rows of a piece; C classes of a level, K best classes kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.artefact import SPLITS
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.refine.fit import fold_of
from prodrec.eval.refine.score_files import Joined, Piece
from prodrec.eval.refine.tally import Tally
from prodrec.eval.refine.weights import Weights

SUFFIX = "-mcr"


def write(
    joined: Joined,
    out: Path,
    weights: Weights,
    by_fold: Mapping[int, Weights],
    *,
    fit_on: Sequence[str],
    folds: int,
    recipe: Mapping[str, Any],
    made_from: Mapping[str, str],
    force: bool = False,
) -> Tally:
    """Refined scores of all rows at `out`: rows of the splits `fit_on` by their fold's weights, others by `weights`.

    Features and attributes come from the file with the leaves, scores of attributes from wherever they are.
    Raises OutputExists, ProdrecError for scores that float16 cannot hold.
    """
    main, tally = joined.main, Tally()
    codes = [SPLITS.index(split) for split in fit_on]
    id_bytes = next(main.chunks(rows=1, levels=())).ids_R.dtype.itemsize
    writer = ScoresWriter(
        out,
        origin=_origin(joined, recipe, made_from),
        taxonomy=main.taxonomy,
        train_images=main.train_images,
        id_bytes=id_bytes,
        rows=main.n,
        attributes=main.attributes,
        force=force,
    )
    with writer, console.progress(f"write {out.name}", total=main.n) as advance:
        for piece in joined.pieces(copied=True):
            chunk = piece.main
            assert chunk.features_RD is not None
            fitted_R = np.isin(chunk.split_R, codes)
            fold_R = np.where(fitted_R, fold_of(chunk.rows_R, folds), -1)
            refined = _refine(joined, piece, weights, by_fold, fold_R)
            writer.append(
                ids=[text.decode() for text in chunk.ids_R.tolist()],
                rows_B=chunk.rows_R,
                split_B=chunk.split_R,
                labels_BL=chunk.labels_RL,
                features_BD=chunk.features_RD,
                scores=refined,
                classes=piece.classes,
                attributes_BA=chunk.attributes_RA,
                attribute_scores=piece.attribute_scores,
            )
            _judge(joined, piece, refined, tally)
            advance(len(piece))
    return tally


def _refine(
    joined: Joined, piece: Piece, weights: Weights, by_fold: Mapping[int, Weights], fold_R: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Refined scores of a piece, by level."""
    found = {level: np.empty_like(scores) for level, scores in piece.scores.items()}
    kept = None if joined.keep is None else piece.kept(joined.tree, fold_R)
    f_Rn = piece.side_by_side() if kept is None else None
    for fold in np.unique(fold_R).tolist():
        mine, by = fold_R == fold, by_fold.get(fold, weights)
        if kept is not None:
            parts = by.refine_kept(kept.take(mine))
        else:
            assert f_Rn is not None
            parts = by.refine_all(f_Rn[mine])
        for level, part in zip(joined.levels, parts, strict=True):
            found[level][mine] = part
    return found


def _judge(joined: Joined, piece: Piece, refined: Mapping[str, NDArray[np.float32]], tally: Tally) -> None:
    taxonomy = joined.main.taxonomy
    for split in joined.main.splits:
        mine = piece.main.split_R == SPLITS.index(split)
        if not mine.any():
            continue
        for at, level in enumerate(joined.levels):
            tally.add(
                split,
                level,
                piece.labels_RL[mine, at] - joined.tree.starts_L1[at],
                piece.scores[level][mine],
                refined[level][mine],
                None if piece.classes is None else piece.classes[level][mine],
                taxonomy.count(level),
            )


def _origin(joined: Joined, recipe: Mapping[str, Any], made_from: Mapping[str, str]) -> Origin:
    """The leaf run's, with -mcr behind its names; what differs by seed only in made_from, so that repeats are seen."""
    main = joined.main.origin
    return Origin(
        run=main.run + SUFFIX,
        family=main.family + SUFFIX,
        made_from=dict(made_from),
        splits=main.splits,
        seed=main.seed,
        recipe={
            "family": main.family + SUFFIX,
            "inputs": {level: file.origin.recipe for level, file in joined.sources.items()},
            "mcr": dict(recipe),
        },
        with_titles=any(file.origin.with_titles for file in joined.files),
    )
