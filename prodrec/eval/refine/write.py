"""Write refined scores chunk by chunk, and count the correct rows before and after.

Shapes: R rows of a chunk; C classes of a level; K top-k classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.folds import assign_folds
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.refine.accuracy import AccuracyCounter
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.score_files import AlignedChunk, AlignedScores

SUFFIX = "-mcr"
NO_FOLD = -1
"""Fold of the rows that no weights are fitted on."""


def write_refined(
    aligned: AlignedScores,
    out: Path,
    model: MCRModel,
    fold_models: Mapping[int, MCRModel],
    *,
    fit_on: Sequence[str],
    folds: int,
    recipe: Mapping[str, Any],
    made_from: Mapping[str, str],
    force: bool = False,
) -> AccuracyCounter:
    """Write the refined scores of all rows to `out`.

    Rows of the splits `fit_on` are refined by the model of their fold, all others by `model`. Features and attributes
    are copied from the file with the leaves, scores of attributes from the file that contains them.
    Raise OutputExists, or ProdrecError if float16 cannot represent a score.
    """
    main, counter = aligned.main, AccuracyCounter()
    fit_codes = [SPLITS.index(split) for split in fit_on]
    id_bytes = next(main.chunks(rows=1, levels=())).ids_R.dtype.itemsize
    writer = ScoresWriter(
        out,
        origin=_origin(aligned, recipe, made_from),
        taxonomy=main.taxonomy,
        train_images=main.train_images,
        id_bytes=id_bytes,
        rows=main.n,
        attributes=main.attributes,
        force=force,
    )
    with writer, console.progress(f"write {out.name}", total=main.n) as advance:
        for aligned_chunk in aligned.chunks(with_copied=True):
            chunk = aligned_chunk.main
            assert chunk.features_RD is not None
            fold_R = np.where(np.isin(chunk.split_R, fit_codes), assign_folds(chunk.group_R, folds), NO_FOLD)
            refined = _refine(aligned, aligned_chunk, model, fold_models, fold_R)
            writer.append(
                ids=[text.decode("utf-8", "replace") for text in chunk.ids_R.tolist()],
                rows_B=chunk.rows_R,
                split_B=chunk.split_R,
                labels_BL=chunk.labels_RL,
                features_BD=chunk.features_RD,
                scores=refined,
                classes=aligned_chunk.classes,
                products_B=(chunk.product_R, chunk.group_R) if main.has_products else None,
                attributes_BA=chunk.attributes_RA,
                attribute_scores=aligned_chunk.attribute_scores,
            )
            _count_correct(aligned, aligned_chunk, refined, counter)
            advance(len(aligned_chunk))
    return counter


def _refine(
    aligned: AlignedScores,
    chunk: AlignedChunk,
    model: MCRModel,
    fold_models: Mapping[int, MCRModel],
    fold_R: NDArray[np.int64],
) -> dict[str, NDArray[np.float32]]:
    """Return the refined scores of every level: R×C, or R×K in the order of the chunk's classes."""
    refined = {level: np.empty_like(scores) for level, scores in chunk.scores.items()}
    samples = None if aligned.top_k is None else chunk.top_k_samples(aligned.tree, fold_R)
    f_Rn = chunk.concatenated_scores() if samples is None else None
    for fold in np.unique(fold_R).tolist():
        in_fold, fold_model = fold_R == fold, fold_models.get(fold, model)
        if samples is not None:
            parts = fold_model.refine_top_k(samples.take(in_fold))
        else:
            assert f_Rn is not None
            parts = fold_model.refine_dense(f_Rn[in_fold])
        for level, part in zip(aligned.levels, parts, strict=True):
            refined[level][in_fold] = part
    return refined


def _count_correct(
    aligned: AlignedScores, chunk: AlignedChunk, refined: Mapping[str, NDArray[np.float32]], counter: AccuracyCounter
) -> None:
    """Add the rows of a chunk to the counts of their splits."""
    taxonomy = aligned.main.taxonomy
    for split in aligned.main.splits:
        in_split = chunk.main.split_R == SPLITS.index(split)
        if not in_split.any():
            continue
        for level in aligned.levels:
            counter.add(
                split,
                level,
                chunk.main.labels_RL[in_split, taxonomy.levels.index(level)].astype(np.int64),
                chunk.scores[level][in_split],
                refined[level][in_split],
                None if chunk.classes is None else chunk.classes[level][in_split],
                taxonomy.count(level),
            )


def _origin(aligned: AlignedScores, recipe: Mapping[str, Any], made_from: Mapping[str, str]) -> Origin:
    """Return the origin of the file with the leaves, with -mcr appended to its names.

    Fingerprints of the inputs are stored in made_from, not in the recipe. Refinements of runs that differ by seed alone
    then have the same recipe, and a report counts them as repeats.
    """
    main = aligned.main.origin
    return Origin(
        run=main.run + SUFFIX,
        family=main.family + SUFFIX,
        made_from=dict(made_from),
        splits=main.splits,
        seed=main.seed,
        recipe={
            "family": main.family + SUFFIX,
            "inputs": {level: file.origin.recipe for level, file in aligned.level_sources.items()},
            "mcr": dict(recipe),
        },
        with_titles=any(file.origin.with_titles for file in aligned.files),
        operating_point=main.operating_point,
        views=main.views,
        tree_weight=main.tree_weight,
    )
