"""Columns are found by their usual names, or by the names in options."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.category_columns import find_categories
from prodrec.core.data.tables.columns import ColumnNames, TableColumns, match_columns, resolve_columns
from prodrec.core.data.tables.csv_table import CsvTable
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.product_columns import find_products
from prodrec.core.data.tables.table_sample import take_sample

Resolve = Callable[..., TableColumns]


@pytest.fixture
def resolve(tmp_path: Path) -> Resolve:
    """`resolve("id,image,leaf", requested, rows=("1,1.jpg,Boots",))` returns the columns of a CSV table."""

    def resolve_(header: str, requested: ColumnNames | None = None, rows: tuple[str, ...] = ()) -> TableColumns:
        path = tmp_path / "t.csv"
        path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
        table = open_table(path)
        names, options = Header(table.header, path), requested or ColumnNames()
        sample = take_sample(table, names, options)
        return resolve_columns(
            names, options, find_categories(sample, names, options), find_products(sample, names, options)
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
        ("filepath,class_id,class_name", "filepath", None, None, ("class_name",)),
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


@pytest.mark.parametrize("header", ["sku,title,leaf,additional_images", "sku,title,leaf,_media_image"])
def test_a_column_of_further_photos_is_the_main_one_if_there_is_no_other(resolve: Resolve, header: str) -> None:
    """Not the id, as in tables without any column of photos."""
    assert resolve(header).images == (header.split(",")[-1],)


@pytest.mark.parametrize(
    "header",
    [
        "ID,Typ,Artikelnummer,Name,Kategorien,Bilder,Übergeordnetes Produkt",
        "ID,Type,UGS,Nom,Catégories,Images,Parent",
        "ID,Tipo,SKU,Nombre,Categorías,Imágenes,Superior",
        "ID,Tipo,COD,Nome,Categorie,Immagini,Genitore",
        "ID,Type,Artikelnummer,Naam,Categorieën,Afbeeldingen,Hoofd",
        "ID,Tipo,REF,Nome,Categorias,Imagens,Ascendente",
        "ID,Rodzaj,SKU,Nazwa,Kategorie,Obrazki,Nadrzędny",
        "ID,Typ,Artikelnummer,Namn,Kategorier,Bilder,Överordnad",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_woocommerce_exports_in_other_languages(resolve: Resolve, header: str, form: str) -> None:
    """The language of the shop translates the header, and a file system or an editor may decompose its letters."""
    header = unicodedata.normalize(form, header)
    id_, _, sku, title, categories, images, parent = header.split(",")
    columns = resolve(header, rows=('1,variable,x,Boot,"A > B, A",1.jpg,', "2,variation,x-1,Boot,,2.jpg,x"))
    assert (columns.id, columns.second_id, columns.title, columns.group) == (id_, sku, title, parent)
    assert (columns.path, columns.separator, columns.joiner, columns.images) == (categories, ">", ",", (images,))


@pytest.mark.parametrize(
    ("header", "id_", "images", "title", "levels"),
    [
        (
            "Artikelnummer,Artikelname,Kategorie Ebene 1,Kategorie Ebene 2,Bild 1,Bild 2",
            *("Artikelnummer", ("Bild 1", "Bild 2"), "Artikelname", ("Kategorie Ebene 1", "Kategorie Ebene 2")),
        ),
        ("ID produit,Nom,Catégorie,URL des images", "ID produit", ("URL des images",), "Nom", ("Catégorie",)),
        (
            "Código,Título,Categoría,Subcategoría,Imagen",
            *("Código", ("Imagen",), "Título", ("Categoría", "Subcategoría")),
        ),
        ("Art.-Nr.,Bezeichnung,Warengruppe,Foto", "Art.-Nr.", ("Foto",), "Bezeichnung", ("Warengruppe",)),
        ("商品ID,商品标题,类目,图片", "商品ID", ("图片",), "商品标题", ("类目",)),
        ("Артикул,Наименование,Категория,Фото", "Артикул", ("Фото",), "Наименование", ("Категория",)),
        ("Type,Productnummer,Naam,Categorie,Afbeelding", "Productnummer", ("Afbeelding",), "Naam", ("Categorie",)),
    ],
)
def test_usual_names_in_other_languages(
    resolve: Resolve, header: str, id_: str, images: tuple[str, ...], title: str, levels: tuple[str, ...]
) -> None:
    columns = resolve(header)
    assert (columns.id, columns.images, columns.title, columns.levels) == (id_, images, title, levels)


def test_the_table_is_read_once_to_detect_roles(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    chunks = CsvTable.chunks
    monkeypatch.setattr(CsvTable, "chunks", lambda self, names: reads.append(names) or chunks(self, names))
    resolve("id,image,category,parent", rows=("1,1.jpg,A > B,", "2,2.jpg,A > B,1"))
    assert len(reads) == 1
    resolve("id,image,root,leaf", rows=("1,1.jpg,A,B",))
    assert len(reads) == 1
