"""The columns of a table of corrections, which `serve` and `audit` write and people complete.

    id image title LEVEL…            a photo or product, and its right category path
    decision                         only where people decide: keep, change, remove, or empty while undecided

`serve --corrections` writes photos that are new, each with its path: such a table is prepared beside the products.
`audit` writes products of a dataset with a proposed path and an empty decision, and `prepare --corrections` applies it.
"""

from __future__ import annotations

from collections.abc import Sequence

from prodrec.core.base.errors import BadOption

ID, IMAGE, TITLE, DECISION = "id", "image", "title", "decision"
KEEP, CHANGE, REMOVE = "keep", "change", "remove"
DECISIONS = (KEEP, CHANGE, REMOVE)


def correction_columns(levels: Sequence[str], *, refused: str, also: Sequence[str] = ()) -> list[str]:
    """Return the columns that every table of corrections has.

    refused: what cannot be used if a level has the name of another column, such as "--corrections"
    also:    further columns of the table

    Raise BadOption in this case.
    """
    columns = [ID, IMAGE, TITLE, *levels]
    others = (ID, IMAGE, TITLE, DECISION, *also)
    if len({*others, *levels}) < len(others) + len(levels):
        raise BadOption(
            f"{refused} cannot be used with the levels {', '.join(levels)}: a level has the name of another column "
            f"({', '.join(others)}); prepare the dataset with other names."
        )
    return columns
