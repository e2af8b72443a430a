"""Give every row an id and a product, and the title and categories that its product has in another row.

Shops export further photos of a product as rows that only repeat its id (Shopify), or that have nothing but the photo
(Magento 1). Variants of a product have an id of their own and name their parent (WooCommerce).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.core.base.wording import counted
from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.column_names import MAGENTO_1_CATEGORY, MAGENTO_1_JOINER
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
    value, or else the id. All photos of a row of a table have one id and one product. Sentences about what was
    completed are appended to `notes`.
    """
    import polars as pl

    categories = ["path"] if columns.path else [f"level_{i}" for i in range(len(columns.levels))]
    frame = _take_ids_from_above(frame, columns, categories, files, notes)
    has_products = requested.group_by != NO_GROUPS and (columns.id is not None or columns.group is not None)
    frame = _name_products(frame, columns, files)
    if has_products:
        frame = _fill_down(frame, categories, files, notes)
    if columns.id:
        blank = _count(frame, pl.col("id").is_null() & pl.col("problem").is_null())
        if blank:
            rows = counted(blank, "row has", "rows have")
            notes.append(f"{rows} no id; it is the photo's name, or else the number of the row")
    number = pl.col("table_row").cast(pl.String)
    row_name = pl.concat_str(pl.lit("row "), number) if columns.id or columns.images else number
    if not frame.select(_repeats_row().any()).collect(engine="streaming").item():
        frame = frame.with_columns(id=pl.coalesce("id", "image", row_name))
        return frame.with_columns(product=pl.coalesce("product", "id")), has_products
    first_photo = pl.when(~_repeats_row()).then(pl.col("image").fill_null("")).forward_fill().replace("", None)
    frame = files.store(frame.with_columns(id=pl.coalesce("id", first_photo, row_name)))
    row = pl.concat_str(pl.col("table").cast(pl.String), pl.lit(":"), number)
    product = row if requested.group_by == NO_GROUPS else pl.coalesce("product", "id")
    return frame.with_columns(product=product), True


def _all_null(categories: list[str]) -> pl.Expr:
    """Return whether a row has no category; a table without categories has none in any row."""
    import polars as pl

    return pl.all_horizontal(pl.lit(True), *(pl.col(name).is_null() for name in categories))


def _repeats_row() -> pl.Expr:
    """Return whether a row of the catalogue is a further photo of the same row of a table."""
    import polars as pl

    is_same = [pl.col(name) == pl.col(name).shift() for name in ("table", "table_row")]
    return pl.all_horizontal(is_same).fill_null(value=False)


def _take_ids_from_above(
    frame: pl.LazyFrame, columns: TableColumns, categories: list[str], files: CatalogueFiles, notes: list[str]
) -> pl.LazyFrame:
    """Give rows with nothing but a photo the id of the row above.

    Below a malformed row they get none, since it may be the first row of their product. In Magento 1, such a row may
    also have a further category of the product.
    """
    import polars as pl

    if not columns.id or not columns.title or not columns.images or columns.images == (columns.id,):
        return frame  # without titles, such a row may as well be a product that lacks its id and its category
    is_magento_1 = categories == ["path"] and columns.path == MAGENTO_1_CATEGORY
    has_no_category = _all_null(categories) | pl.lit(is_magento_1)
    lacks_all = pl.col("problem").is_null() & pl.col("id").is_null() & pl.col("title").is_null() & has_no_category
    continues = lacks_all & (pl.col("image").is_not_null() | pl.lit(is_magento_1))
    if not _count(frame, continues):
        return frame
    is_malformed = pl.col("problem").is_not_null() & ~pl.col("problem").str.ends_with(f": {BLANK}")
    above = pl.when(is_malformed).then(pl.lit("")).otherwise("id").forward_fill().over("table").replace("", None)
    filled = files.store(frame.with_columns(above=above))
    takes_id = continues & pl.col("above").is_not_null()
    photos = _count(filled, takes_id & pl.col("image").is_not_null())
    if photos:
        rows = counted(
            photos,
            "row with nothing but a photo is a further photo",
            "rows with nothing but a photo are further photos",
        )
        notes.append(f"{rows} of the product above")
    filled = filled.with_columns(is_further=takes_id, id=pl.when(takes_id).then("above").otherwise("id"))
    return files.store(_join_paths(filled) if is_magento_1 else filled).drop("above", "is_further")


def _join_paths(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Bring the category paths of all rows of a product of Magento 1 into the first one, one a line."""
    import polars as pl

    paths = (
        frame.filter(pl.col("id").is_not_null() & pl.col("path").is_not_null())
        .group_by("id", maintain_order=True)
        .agg(paths=pl.col("path").unique(maintain_order=True).str.join(MAGENTO_1_JOINER))
    )
    joined = frame.join(paths, on="id", how="left", maintain_order="left")
    return joined.with_columns(path=pl.when(~pl.col("is_further")).then(pl.coalesce("paths", "path"))).drop("paths")


def _name_products(frame: pl.LazyFrame, columns: TableColumns, files: CatalogueFiles) -> pl.LazyFrame:
    """Set `product` to the id of the parent that the row names, or else another row with its id; or else to its id.

    Some shops name the parent in the first row of an id only.
    """
    import polars as pl

    if columns.variants:
        return files.store(_parents_of_variants(frame))
    if not columns.group:
        return frame.with_columns(product=pl.col("id"))
    product = pl.col("product").str.strip_prefix(WOOCOMMERCE_ID)
    if not columns.second_id:
        frame = frame.with_columns(product)
    else:
        parents = _first_by(frame, "second_id", "id", rows_of=frame.select(second_id="product"))
        frame = frame.join(parents, left_on="product", right_on="second_id", how="left", maintain_order="left")
        frame = frame.with_columns(product=pl.coalesce("first", product)).drop("first", "second_id")
    unnamed = frame.filter(pl.col("product").is_null()).select("id")
    frame = frame.join(_first_by(frame, "id", "product", rows_of=unnamed), on="id", how="left", maintain_order="left")
    return files.store(frame.with_columns(product=pl.coalesce("product", "first", "id")).drop("first"))


def _parents_of_variants(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Set `product` to the id of the product that lists the row as its variant, or else to the id of the row."""
    import polars as pl

    listed = pl.col("variants").str.extract_all(r"(?:^|\|)\s*sku=[^,|]+")
    parents = (
        frame.select(first="id", id=listed)
        .explode("id")
        .drop_nulls()
        .with_columns(pl.col("id").str.replace(r"^\|?\s*sku=", "").str.strip_chars())
        .unique("id", keep="first", maintain_order=True)
        .collect()
    )
    joined = frame.join(parents.lazy(), on="id", how="left", maintain_order="left")
    return joined.with_columns(product=pl.coalesce("first", "id")).drop("first", "variants")


def _first_by(frame: pl.LazyFrame, key: str, value: str, *, rows_of: pl.LazyFrame) -> pl.LazyFrame:
    """Return the first `value` of every `key` that `rows_of` contains, as the columns `key` and "first"."""
    import polars as pl

    pairs = frame.select(key, pl.col(value).alias("first")).drop_nulls()
    wanted = rows_of.drop_nulls().unique()
    return pairs.join(wanted, on=key, how="semi").unique(key, keep="first", maintain_order=True).collect().lazy()


def _fill_down(frame: pl.LazyFrame, categories: list[str], files: CatalogueFiles, notes: list[str]) -> pl.LazyFrame:
    """Fill categories, title, split and attributes of a row from the first row of its product that has them."""
    import polars as pl

    lacks_category = _all_null(categories) & pl.col("problem").is_null()
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
    rows = counted(count, "row has", "rows have")
    notes.append(f"{rows} no category; it is that of the first row of the product, as is the title")
    in_order = frame.join(firsts.lazy(), on="product", how="left", suffix="_first", maintain_order="left")
    return files.store(
        in_order.with_columns(
            pl.when(lacks).then(pl.coalesce(name, f"{name}_first")).otherwise(name).alias(name) for name in values
        ).drop(f"{name}_first" for name in values)
    )


def _count(frame: pl.LazyFrame, condition: pl.Expr) -> int:
    import polars as pl

    return int(frame.filter(condition).select(pl.len()).collect(engine="streaming").item())
