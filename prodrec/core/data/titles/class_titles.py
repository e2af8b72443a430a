"""Titles and descriptions of classes: side information that a class has even where its products have none.

`classes/titles.parquet` of a dataset has them as the columns `title` and `description`, with a row for every leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prodrec.core.base.errors import BadArtefact

FILE = "titles.parquet"


@dataclass(frozen=True)
class ClassTitles:
    """The title and the description of every leaf, None where it has none."""

    titles: Sequence[str | None]
    descriptions: Sequence[str | None]

    def texts(self) -> list[tuple[int, str]]:
        """Return all titles and then all descriptions, with the leaves that have them."""
        both = (self.titles, self.descriptions)
        return [(leaf, text) for texts in both for leaf, text in enumerate(texts) if text is not None]

    def take(self, leaves: Sequence[int]) -> ClassTitles:
        """Return those of some leaves, in this order."""
        return ClassTitles([self.titles[leaf] for leaf in leaves], [self.descriptions[leaf] for leaf in leaves])

    def save(self, directory: Path) -> dict[str, int]:
        """Write FILE to `directory`, and return how many leaves have a title, and a description."""
        import polars as pl

        columns = {"title": list(self.titles), "description": list(self.descriptions)}
        pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(directory / FILE)
        return {f"{name}s": sum(text is not None for text in texts) for name, texts in columns.items()}

    @classmethod
    def load(cls, directory: Path, leaves: int) -> ClassTitles:
        """Read FILE of `directory`. Raise BadArtefact if it is damaged or has another number of leaves."""
        import polars as pl

        path = directory / FILE
        try:
            frame = pl.read_parquet(path, columns=["title", "description"])
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise BadArtefact(f"{path} cannot be read ({reason}); prepare the dataset again.") from error
        if frame.height != leaves or set(frame.schema.values()) != {pl.String}:
            raise BadArtefact(
                f"{path} has {frame.height} rows, expected texts of {leaves} leaves; prepare the dataset again."
            )
        return cls(frame["title"].to_list(), frame["description"].to_list())
