"""The attribute section of a report: the attribute branch and the leaf branch on the rows labelled with an attribute.

The metrics follow S table 2:

ACC-branA   top-1 accuracy of the attribute branch over the rows labelled with the attribute (S §4.3).
MACC-branA  mean of the accuracies of the attribute's states. The paper does not report it; states, like leaves, differ
            much in their numbers of images.
ACC-branC   top-1 accuracy of the leaf branch over the same rows; in the line "all rows" over every row.
MACC-branC  mean of the accuracies of the leaves of these rows.

In S table 2, branC is over all rows, as in the line "all rows" here: its column "all" repeats ACC and MACC of ssMTL-CA
on the core dataset in S table 1.

branA is n/a for runs without an attribute branch. branC has a value for every run with scores of the leaves, because it
needs only them and the labels of the rows. It therefore compares runs with and without an attribute branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.count_scores import ATTRIBUTE_TOP
from prodrec.eval.report.leaf_groups import LeafGroup
from prodrec.eval.report.row_builder import Accuracy, RowBuilder, tested_in
from prodrec.eval.report.strata import ACC, MACC, state_strata
from prodrec.eval.report.table import Row

SECTION = "by attribute"
ALL_ROWS = "all rows"
BRANCH_A, BRANCH_C = "branA", "branC"


def known_attributes(files: Sequence[Scores]) -> list[Attribute]:
    """Return the attributes of all files, in order of first occurrence.

    Raise BadOption if there are none, Mismatch if two files have different states of one attribute.
    """
    first: dict[str, tuple[Attribute, Scores]] = {}
    for file in files:
        for attribute in file.attributes:
            other, other_file = first.setdefault(attribute.name, (attribute, file))
            if other.states != attribute.states:
                raise Mismatch(
                    f"attribute {attribute.name} has other states in {file.path} ({len(attribute.states)}) than in "
                    f"{other_file.path} ({len(other.states)}); report them one by one, or score all runs on one "
                    "dataset."
                )
    if not first:
        raise BadOption(
            "--by-attribute: the score files contain no attributes; omit --by-attribute, or prepare with --attributes."
        )
    return [attribute for attribute, _ in first.values()]


def attribute_rows(builder: RowBuilder, attributes: Sequence[Attribute], all_leaves: LeafGroup) -> list[Row]:
    """Return four rows for each attribute, and two over all rows; `all_leaves` is the group of all leaves."""
    rows = []
    for attribute in attributes:
        by_state = builder.counts.attributes[attribute.name, "state"]
        for metric in (ACC, MACC):
            strata = [state_strata(metric, counts) for counts in by_state.files]
            row = Row(
                section=SECTION,
                group=attribute.name,
                level=attribute.name,
                metric=f"{metric}-{BRANCH_A}",
                top=ATTRIBUTE_TOP,
                total_classes=len(attribute.states),
                tested=tested_in(strata),
            )
            rows.append(builder.fill(row, Accuracy(by_state, (attribute.name, ATTRIBUTE_TOP), strata)))
        group = replace(all_leaves, section=SECTION, name=attribute.name)
        by_leaf = builder.counts.attributes[attribute.name, "leaf"]
        rows += _as_branch_c(builder.accuracy_rows(group, [ATTRIBUTE_TOP], by_leaf))
    group = replace(all_leaves, section=SECTION, name=ALL_ROWS)
    return rows + _as_branch_c(builder.accuracy_rows(group, [ATTRIBUTE_TOP]))


def _as_branch_c(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, metric=f"{row.metric}-{BRANCH_C}") for row in rows]
