"""Columns are found by their usual names, or by the names in options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.category_columns import find_categories
from prodrec.core.data.tables.columns import ColumnNames, Header, TableColumns, match_columns, resolve_columns
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.product_columns import find_products

Resolve = Callable[..., TableColumns]


@pytest.fixture
def resolve(tmp_path: Path) -> Resolve:
    """`resolve("id,image,leaf", requested, rows=("1,1.jpg,Boots",))` returns the columns of a CSV table."""

    def resolve_(header: str, requested: ColumnNames | None = None, rows: tuple[str, ...] = ()) -> TableColumns:
        path = tmp_path / "t.csv"
        path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
        table = open_table(path)
        names, options = Header(table.header, path), requested or ColumnNames()
        return resolve_columns(
            names, options, find_categories(table, names, options), find_products(table, names, options)
        )

    return resolve_


@pytest.mark.parametrize(
    ("header", "image", "id_", "title", "levels"),
    [
        ("id,image,title,root,middle,leaf", "image", "id", "title", ("root", "middle", "leaf")),
        ("SKU,Photo,Name,leaf", "Photo", "SKU", "Name", ("leaf",)),
        (
            "id,gender,masterCategory,subCategory,articleType,productDisplayName,filename",
            *("filename", "id", "productDisplayName", ("masterCategory", "subCategory", "articleType")),
        ),
        (
            "image path,category_10,category_2,category_1",
            "image path",
            None,
            None,
            ("category_1", "category_2", "category_10"),
        ),
        ("Image_File,Product ID,Category", "Image_File", "Product ID", None, ("Category",)),
        ("file,label", "file", None, None, ("label",)),
        ("id,masterCategory,subCategory,productDisplayName", "id", "id", "productDisplayName", None),
    ],
)
def test_columns_are_detected_by_name(
    resolve: Resolve, header: str, image: str, id_: str | None, title: str | None, levels: tuple[str, ...] | None
) -> None:
    columns = resolve(header)
    assert (columns.images, columns.id, columns.title) == ((image,), id_, title)
    assert columns.levels == (levels or ("masterCategory", "subCategory"))


def test_options_override_detection(resolve: Resolve) -> None:
    requested = ColumnNames(id="ean", image="BACK", levels=("Kind",), attributes=("colour",))
    columns = resolve("id,image,title,leaf,ean,back,Kind,colour", requested)
    assert (columns.id, columns.images, columns.title) == ("ean", ("back",), "title")
    assert (columns.levels, columns.attributes) == (("Kind",), ("colour",))
    assert columns.to_read() == ["ean", "title", "back", "Kind", "colour"]


@pytest.mark.parametrize(
    ("header", "requested", "words"),
    [
        ("title,leaf", ColumnNames(), ["no image column", "--image", "title, leaf"]),
        ("id,image,title", ColumnNames(), ["no category column", "--levels"]),
        ("id,image,leaf", ColumnNames(levels=("root", "leaf")), ["no column 'root'", "--levels"]),
        ("id,image,leaf", ColumnNames(levels=("root", "kind")), ["no column 'root'", "--levels"]),
        (
            "id,image,leaf,colour",
            ColumnNames(attributes=("color",)),
            ["'color'", "--attributes", "did you mean colour?"],
        ),
        ("id,image,leaf", ColumnNames(split="fold"), ["'fold'", "--split-column"]),
        ("id,image,leaf", ColumnNames(path="category"), ["'category'", "--path-column"]),
        ("id,image,leaf", ColumnNames(group_by="parent"), ["'parent'", "--group-by"]),
        ("id,image,leaf", ColumnNames(further_images=("back",)), ["'back'", "--further-images"]),
        ("id,image,leaf,id", ColumnNames(id="id"), ["2 columns that match 'id' (--id): id, id", "rename"]),
        ("Id,iD,image,leaf", ColumnNames(id="ID"), ["2 columns that match 'ID' (--id): Id, iD", "rename"]),
    ],
)
def test_missing_and_ambiguous_columns(resolve: Resolve, header: str, requested: ColumnNames, words: list[str]) -> None:
    with pytest.raises(BadTable) as error:
        resolve(header, requested)
    assert all(word in str(error.value) for word in ["t.csv", *words]), error.value


@pytest.mark.parametrize(
    ("header", "images"),
    [
        ("Handle,Title,Image Src,Variant Image,Type", ("Image Src", "Variant Image")),
        ("id,image_link,additional_image_link,product_type", ("image_link", "additional_image_link")),
        ("sku,main_image_url,other_image_url10,other_image_url2,item_type", None),
        ("SKU,IMAGE2,IMAGE1,category", ("IMAGE1", "IMAGE2")),
        ("id,image,photographer,category", ("image",)),
    ],
)
def test_further_photos(resolve: Resolve, header: str, images: tuple[str, ...] | None) -> None:
    assert resolve(header).images == (images or ("main_image_url", "other_image_url2", "other_image_url10"))


def test_requested_photos(resolve: Resolve) -> None:
    header = "id,image_link,additional_image_link,back,category"
    assert resolve(header, ColumnNames(image="back")).images == ("back",)
    assert resolve(header, ColumnNames(further_images=("back",))).images == ("image_link", "back")


WOOCOMMERCE = "ID,Type,SKU,Name,Categories,Images,Parent"


@pytest.mark.parametrize(
    ("header", "rows", "group", "second_id"),
    [
        (WOOCOMMERCE, (), "Parent", "SKU"),
        ("id,image,leaf", (), None, None),
        ("id,image_link,item_group_id,product_type", (), "item_group_id", None),
        ("sku,parent_sku,image,leaf", (), "parent_sku", None),
        ("parent_asin,image,leaf", (), None, None),  # it is the id
        ("id,parent,leaf,image", ("1,Shoes,Boots,1.jpg", "2,Shoes,Boots,2.jpg"), None, None),  # of a category
        ("id,parent,leaf,image", ("1,,Boots,1.jpg", "2,1,Boots,2.jpg"), "parent", None),
    ],
)
def test_products(
    resolve: Resolve, header: str, rows: tuple[str, ...], group: str | None, second_id: str | None
) -> None:
    columns = resolve(header, rows=rows)
    assert (columns.group, columns.second_id) == (group, second_id)
    assert resolve(header, ColumnNames(group_by="none"), rows).group is None


def test_the_handle_is_the_id_of_shopify(resolve: Resolve) -> None:
    assert resolve("Title,URL handle,SKU,Type,Product image URL").id == "URL handle"


def test_columns_of_a_further_table(resolve: Resolve) -> None:
    columns = resolve(WOOCOMMERCE)
    assert match_columns(Header(WOOCOMMERCE.split(","), Path("b.csv")), columns) == columns
    with pytest.raises(BadTable, match=r"b\.csv has no column 'Parent'"):
        match_columns(Header(["ID", "Type", "SKU", "Name", "Categories", "Images"], Path("b.csv")), columns)


def test_the_summary_names_every_column(resolve: Resolve) -> None:
    columns = resolve("id,image,title,category,parent_sku,fold", ColumnNames(split="fold", path="category"))
    assert columns.describe() == (
        "id: id · image: image · product: parent_sku · title: title · levels: category · attributes: (none) · "
        "split: fold"
    )
