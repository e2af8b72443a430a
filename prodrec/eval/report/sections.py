"""The sections of a report beside the overall accuracies."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Sections:
    """Which sections a report has.

    by_head_tail: rows of head and tail, and of leaves with many, medium and few training images.
    by_root:      rows of the leaves of every root, and the mean over roots.
    by_level:     rows of every level.
    by_leaf:      a row of every leaf with test images.
    by_attribute: the rows of attribute_table.py.
    hierarchy:    the rows of hierarchy_table.py.
    """

    by_head_tail: bool = False
    by_root: bool = False
    by_level: bool = False
    by_leaf: bool = False
    by_attribute: bool = False
    hierarchy: bool = False

    def __or__(self, other: Sections) -> Sections:
        return Sections(*(getattr(self, field.name) or getattr(other, field.name) for field in fields(Sections)))
