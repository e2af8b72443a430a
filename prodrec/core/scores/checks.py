"""Checks of an open scores file against the schema: the shapes of its datasets, and the values in a chunk of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.hdf5 import object_name
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.schema import PRODUCT_DATASETS, score_datasets, wrong_labels

if TYPE_CHECKING:
    from prodrec.core.scores.reader import Scores


def check_shapes(scores: Scores, file: Any) -> None:
    """Raise BadArtefact if a dataset of the open `file` has a wrong number of rows or columns, or nothing is scored."""
    names = ["id", "row", "split", "features", *(PRODUCT_DATASETS if scores.has_products else ())]
    names += [f"labels/{object_name(level)}" for level in scores.levels]
    names += [f"attributes/{object_name(attribute.name)}" for attribute in scores.attributes]
    for level in scores.scored_levels:
        names += score_datasets(level, is_top_k=scores.is_top_k)
    names += [f"attribute_scores/{object_name(name)}" for name in scores.scored_attributes]
    if not scores.scored_levels and not scores.scored_attributes:
        raise BadArtefact(f"{scores.path}: no level and no attribute is scored in it; score the run again.")
    for name in names:
        rows = file[name].shape[0]
        if rows != scores.n:
            raise BadArtefact(f"{scores.path}: {name} has {rows} rows, expected {scores.n}; score the run again.")
    leaves = scores.taxonomy.count(scores.levels[-1])
    if scores.train_images.shape != (leaves,) or scores.train_images.dtype.kind not in "iu":
        raise BadArtefact(
            f"{scores.path}: there are {leaves} leaves and {len(scores.train_images)} numbers of training images; "
            "score the run again."
        )
    for level in scores.scored_levels:
        name = score_datasets(level, is_top_k=scores.is_top_k)[0]
        width, classes = file[name].shape[1], scores.taxonomy.count(level)
        if width > classes or (not scores.is_top_k and width != classes):
            raise BadArtefact(
                f"{scores.path}: level {level} has {classes} classes and {width} scores per row; score the run again."
            )
    for attribute in scores.attributes:
        if attribute.name in scores.scored_attributes:
            width = file[f"attribute_scores/{object_name(attribute.name)}"].shape[1]
            states = len(attribute.states)
            if width != states:
                raise BadArtefact(
                    f"{scores.path}: attribute {attribute.name} has {states} states and {width} scores per row; "
                    "score the run again."
                )


def check_chunk(
    chunk: ScoreChunk,
    previous_row: int,
    *,
    splits: Sequence[str],
    taxonomy: Taxonomy,
    attributes: Sequence[Attribute],
    path: Path,
) -> None:
    """Raise BadArtefact if rows do not ascend or are of another split, a class or attribute code does not exist, or a
    score is not finite.

    The first row of a product or group must not follow the row. A label may be -1 below the first level, if it is -1 at
    all deeper levels too.

    previous_row: row of the dataset that precedes the chunk in the file; -1 for the first chunk
    splits:       the splits of the file
    path:         the scores file, for messages
    """
    is_scored_S = np.isin(np.arange(256), [SPLITS.index(name) for name in splits])
    wrong = np.flatnonzero(~is_scored_S[chunk.split_R])
    if len(wrong):
        raise BadArtefact(
            f"{path}: row {chunk.rows_R[wrong[0]]} has the split {chunk.split_R[wrong[0]]}, and the file is of "
            f"{', '.join(splits)}; score the run again."
        )
    if chunk.rows_R[0] <= previous_row or (np.diff(chunk.rows_R) <= 0).any():
        raise BadArtefact(f"{path}: its rows do not ascend after row {previous_row}; score the run again.")
    for name, first_R in zip(PRODUCT_DATASETS, (chunk.product_R, chunk.group_R), strict=True):
        wrong = np.flatnonzero((first_R < 0) | (first_R > chunk.rows_R))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has {name} {first_R[wrong[0]]}, expected a row from 0 to it; "
                "score the run again."
            )
    is_wrong_RL = wrong_labels(chunk.labels_RL, [len(names) for names in taxonomy.names])
    if is_wrong_RL.any():
        column = int(is_wrong_RL.any(axis=0).argmax())
        row, level = int(is_wrong_RL[:, column].argmax()), taxonomy.levels[column]
        label, count = int(chunk.labels_RL[row, column]), taxonomy.count(level)
        if 0 <= label < count:
            reason = f"and none at level {taxonomy.levels[column - 1]} above it"
        else:
            reason = f"which has {count} classes"
        raise BadArtefact(
            f"{path}: row {chunk.rows_R[row]} has label {label} at level {level}, {reason}; score the run again."
        )
    codes = [] if chunk.attributes_RA is None else zip(attributes, chunk.attributes_RA.T, strict=True)
    for attribute, code_R in codes:
        wrong = np.flatnonzero((code_R < 0) | (code_R > len(attribute.states)))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has code {code_R[wrong[0]]} of attribute {attribute.name}, "
                f"which has {len(attribute.states)} states; score the run again."
            )
    for level, class_RK in (chunk.classes or {}).items():
        wrong = np.flatnonzero(((class_RK < 0) | (class_RK >= taxonomy.count(level))).any(axis=1))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has the score of a class of {level} that does not exist; "
                "score the run again."
            )
    scores = {f"level {level}": values for level, values in chunk.scores.items()}
    scores |= {f"attribute {name}": values for name, values in chunk.attribute_scores.items()}
    for name, values in scores.items():
        wrong = np.flatnonzero(~np.isfinite(values.sum(axis=1)))
        if len(wrong):
            raise BadArtefact(
                f"{path}: the scores of {name} are not finite (NaN or infinite) in row {chunk.rows_R[wrong[0]]} "
                f"(id {chunk.ids_R[wrong[0]].decode('utf-8', 'replace')}); score the run again."
            )
