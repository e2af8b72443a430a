"""Give every row an id and a product, and the title and categories that its product has in another row.

Shops export further photos of a product as rows that only repeat its id (Shopify), or that have nothing but the photo
(Magento 1). Variants of a product have an id of their own and name their parent (WooCommerce).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.column_names import MAGENTO_1_CATEGORY
from prodrec.core.data.tables.columns import NO_GROUPS, ColumnNames, TableColumns
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.product_columns import WOOCOMMERCE_ID

if TYPE_CHECKING:
    import polars as pl


def complete_products(
    frame: pl.LazyFrame, columns: TableColumns, requested: ColumnNames, files: CatalogueFiles, notes: list[str]
) -> tuple[pl.LazyFrame, bool]:
    """Return the catalogue with an id and a product in every row, and whether rows may share a product.

    The values of `product` before are those of the column that names the product, or null; afterwards they are that
    value, or else the id. Sentences about what was completed are appended to `notes`.
    """
    import polars as pl

    categories = ["path"] if columns.path else [f"level_{i}" for i in range(len(columns.levels))]
    frame = _take_ids_from_above(frame, columns, categories, files, notes)
    has_products = requested.group_by != NO_GROUPS and (columns.id is not None or columns.group is not None)
    frame = _name_products(frame, columns)
    if has_products:
        frame = _fill_down(frame, categories, files, notes)
    if columns.id:
        blank = _count(frame, pl.col("id").is_null() & pl.col("problem").is_null())
        if blank:
            notes.append(f"{blank:,} rows have no id; it is the photo's name, or else the number of the row")
    row_name = pl.concat_str(pl.lit("row "), pl.col("table_row").cast(pl.String))
    id_ = pl.coalesce("id", "image", row_name) if columns.id else pl.coalesce("image", row_name)
    if not columns.id and not columns.images:
        id_ = pl.col("table_row").cast(pl.String)
    frame = frame.with_columns(id=id_)
    return frame.with_columns(product=pl.coalesce("product", "id")), has_products


def _take_ids_from_above(
    frame: pl.LazyFrame, columns: TableColumns, categories: list[str], files: CatalogueFiles, notes: list[str]
) -> pl.LazyFrame:
    """Give rows with nothing but a photo the id of the row above.

    Below a malformed row they get none, since it may be the first row of their product.
    """
    import polars as pl

    if not columns.id or not columns.title or not columns.images or columns.images == (columns.id,):
        return frame  # without titles, such a row may as well be a product that lacks its id and its category
    has_no_category = pl.all_horizontal(pl.col(name).is_null() for name in categories)
    if columns.path == MAGENTO_1_CATEGORY or columns.levels == (MAGENTO_1_CATEGORY,):
        has_no_category = pl.lit(True)
    lacks_all = pl.col("problem").is_null() & pl.col("id").is_null() & pl.col("title").is_null() & has_no_category
    is_only_photo = lacks_all & pl.col("image").is_not_null()
    if not _count(frame, is_only_photo):
        return frame
    is_malformed = pl.col("problem").is_not_null() & ~pl.col("problem").str.ends_with(f": {BLANK}")
    above = pl.when(is_malformed).then(pl.lit("")).otherwise("id").forward_fill().over("table").replace("", None)
    filled = files.store(frame.with_columns(above=above))
    takes_id = is_only_photo & pl.col("above").is_not_null()
    count = _count(filled, takes_id)
    if count:
        notes.append(f"{count:,} rows with nothing but a photo are further photos of the product above them")
    return filled.with_columns(
        pl.when(takes_id).then("above").otherwise("id").alias("id"),
        *(pl.when(~takes_id).then(name).alias(name) for name in categories),
    ).drop("above")


def _name_products(frame: pl.LazyFrame, columns: TableColumns) -> pl.LazyFrame:
    """Set `product` to the id of the parent that the row names, or else to the id of the row."""
    import polars as pl

    if not columns.group:
        return frame.with_columns(product=pl.col("id"))
    if not columns.second_id:
        return frame.with_columns(product=pl.coalesce(pl.col("product").str.strip_prefix(WOOCOMMERCE_ID), "id"))
    named = frame.select("product").drop_nulls().unique()
    parents = (
        frame.select(pl.col("second_id").alias("product"), pl.col("id").alias("parent"))
        .drop_nulls()
        .join(named, on="product", how="semi")
        .unique("product", keep="first", maintain_order=True)
        .collect()
    )
    joined = frame.join(parents.lazy(), on="product", how="left", maintain_order="left")
    return joined.with_columns(
        product=pl.coalesce("parent", pl.col("product").str.strip_prefix(WOOCOMMERCE_ID), "id")
    ).drop("parent", "second_id")


def _fill_down(frame: pl.LazyFrame, categories: list[str], files: CatalogueFiles, notes: list[str]) -> pl.LazyFrame:
    """Fill categories, title, split and attributes of a row from the first row of its product that has them."""
    import polars as pl

    lacks_category = pl.all_horizontal(pl.col(name).is_null() for name in categories) & pl.col("problem").is_null()
    lacks = lacks_category & pl.col("product").is_not_null()
    if not _count(frame, lacks):
        return frame
    attributes = [name for name in frame.collect_schema() if name.startswith("attribute_")]
    values = ["title", "split", *categories, *attributes]
    incomplete = frame.filter(lacks).select("product").unique()
    firsts = (
        frame.filter(~lacks_category)
        .join(incomplete, on="product", how="semi")
        .group_by("product", maintain_order=True)
        .agg(pl.col(name).drop_nulls().first() for name in values)
        .collect()
    )
    if not firsts.height:
        return frame
    count = frame.filter(lacks).join(firsts.lazy(), on="product", how="semi").select(pl.len()).collect().item()
    notes.append(f"{count:,} rows have no category; it is that of the first row of their product, as is the title")
    in_order = frame.join(firsts.lazy(), on="product", how="left", suffix="_first", maintain_order="left")
    return files.store(
        in_order.with_columns(
            pl.when(lacks).then(pl.coalesce(name, f"{name}_first")).otherwise(name).alias(name) for name in values
        ).drop(f"{name}_first" for name in values)
    )


def _count(frame: pl.LazyFrame, condition: pl.Expr) -> int:
    import polars as pl

    return int(frame.filter(condition).select(pl.len()).collect(engine="streaming").item())
