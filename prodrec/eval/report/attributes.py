"""What a report says of attributes: how their branch and the leaf branch do on the rows that have them (S table 2).

ACC-branA   top-1 in the attribute branch over the rows labelled with the attribute (S §4.3).
MACC-branA  mean over the attribute's states of each state's accuracy. Not in the paper, but as uneven as its leaves.
ACC-branC   top-1 in the leaf branch over the same rows; in the line of all rows over every row, which is S table 2.
MACC-branC  mean over the leaves of those rows.

branA reads n/a for runs without this branch. branC does not: it is the leaf accuracy of any run on those rows, so that
runs with and without the attribute are compared where it matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.cells import Row, Share, Table, judged_in
from prodrec.eval.report.counting import TOP
from prodrec.eval.report.groups import ACC, MACC, Group, state_strata

SECTION = "by attribute"
ALL_ROWS = "all rows"
BRANCH_A, BRANCH_C = "branA", "branC"


def attributes_of(files: Sequence[Scores]) -> list[Attribute]:
    """All attributes that the files know, in their order.

    Raises BadOption where there is none, Mismatch where two files know one with other states.
    """
    known: dict[str, tuple[Attribute, Scores]] = {}
    for file in files:
        for attribute in file.attributes:
            before, of = known.setdefault(attribute.name, (attribute, file))
            if before.states != attribute.states:
                raise Mismatch(
                    f"attribute {attribute.name} has other states in {file.path} ({len(attribute.states)}) than in "
                    f"{of.path} ({len(before.states)}); report them one by one, or score all runs on one dataset."
                )
    if not known:
        raise BadOption(
            "--by-attribute: the score files know no attributes; leave it out, or prepare with --attributes."
        )
    return [attribute for attribute, _ in known.values()]


def attribute_rows(table: Table, attributes: Sequence[Attribute], everything: Group) -> list[Row]:
    """Four rows an attribute, and two for all rows; `everything` is the group of all leaves."""
    rows = []
    for attribute in attributes:
        by_state = table.counted.attributes[attribute.name, "state"]
        for metric in (ACC, MACC):
            weighed = [state_strata(metric, tally.images) for tally in by_state.tallies]
            name, in_all = attribute.name, len(attribute.states)
            about = Row(SECTION, name, name, f"{metric}-{BRANCH_A}", TOP, in_all, judged=judged_in(weighed))
            rows.append(table.row(about, Share(by_state, (name, TOP), weighed)))
        group = replace(everything, section=SECTION, name=attribute.name)
        rows += _branch_c(table.rows(group, [TOP], table.counted.attributes[attribute.name, "leaf"]))
    return rows + _branch_c(table.rows(replace(everything, section=SECTION, name=ALL_ROWS), [TOP]))


def _branch_c(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, metric=f"{row.metric}-{BRANCH_C}") for row in rows]


def attribute_notes(files: Sequence[Scores], names: Sequence[str]) -> list[str]:
    """Attributes that no run scored."""
    missing = [name for name in names if not any(name in file.scored_attributes for file in files)]
    return [f"no run scored {', '.join(missing)}: branA reads n/a."] if missing else []
