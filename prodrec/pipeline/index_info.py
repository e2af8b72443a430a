"""`prodrec index info` and `prodrec index check`: what is in an index, and is it sound?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.pipeline.index_points import describe
from prodrec.pipeline.load_index import run_of_index

if TYPE_CHECKING:
    from prodrec.index.product_index import ProductIndex


@dataclass(frozen=True)
class IndexInfo:
    """An index, and numbers about it.

    run: directory of its run; None if it is not where the index names it
    """

    index: ProductIndex
    run: Path | None
    products: int
    photos: int
    without_category: int
    categories: int
    bytes_on_disk: int

    def __str__(self) -> str:
        header = self.index.header
        made_by = header.run_name if self.run is None else f"{header.run_name} ({self.run})"
        return "\n".join(
            [
                f"{self.index.path}: {self.products:,} products, {self.photos:,} photos, version {self.index.version}",
                f"run: {made_by}; vectors of {header.width} numbers; search: {header.search}",
                f"categories: {self.categories:,}; products without one, which is predicted: {self.without_category:,}",
                f"disk: {self.bytes_on_disk / 1e6:,.1f} MB in {self.index.table.versions} versions",
                *describe(header),
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec index info --json` prints them."""
        header = self.index.header
        return {
            "index": str(self.index.path),
            "products": self.products,
            "photos": self.photos,
            "without_category": self.without_category,
            "categories": self.categories,
            "version": self.index.version,
            "versions": self.index.table.versions,
            "bytes": self.bytes_on_disk,
            "run": {"name": header.run_name, "path": None if self.run is None else str(self.run)},
            "run_fingerprint": header.run_fingerprint,
            "dataset_fingerprint": header.dataset_fingerprint,
            "fingerprint": header.fingerprint,
            "splits": list(header.splits),
            "width": header.width,
            "search": vars(header.search),
            "validation": [dict(row) for row in header.validation],
            "validation_photos": header.validation_photos,
        }


def index_info(index: str | Path) -> IndexInfo:
    """Return what is in an index.

    Args:
        index: directory of an index.

    Raises:
        NotFound: if it does not exist.
        BadArtefact: if it is damaged.
    """
    from prodrec.index.product_index import ProductIndex

    opened = ProductIndex.open(Path(index))
    frame = opened.frame("sku", "path", "predicted")
    products = frame.unique("sku")
    try:
        run = run_of_index(opened)
    except NotFound:
        run = None
    return IndexInfo(
        opened,
        run,
        products=len(products),
        photos=len(frame),
        without_category=int(products["predicted"].sum()),
        categories=int(products.filter(~products["predicted"])["path"].n_unique()),
        bytes_on_disk=sum(file.stat().st_size for file in opened.path.rglob("*") if file.is_file()),
    )


def check_index(index: str | Path, *, run: str | Path | None = None) -> int:
    """Check every row of an index, and that its run is the one that made it. Return the number of photos.

    Args:
        index: directory of an index.
        run: directory of the run, or its name in `runs/`; None is the place that the index names.

    Raises:
        NotFound: if the index or its run does not exist.
        BadArtefact: if one of them is damaged; the message names all problems.
        Mismatch: if the vectors were made by another run.
    """
    from prodrec.core.training.run import open_run
    from prodrec.index.check import find_problems
    from prodrec.index.product_index import ProductIndex

    opened = ProductIndex.open(Path(index))
    made_by = open_run(run_of_index(opened, run))
    opened.require_run(made_by.fingerprint, name=str(made_by.path))
    if problems := find_problems(opened):
        remedy = f"make it again with `prodrec index build {made_by.path} --out {opened.path} --force`"
        raise BadArtefact(f"{opened.path} is damaged: {'; '.join(problems)}; {remedy}.")
    return len(opened)
