"""Every row gets an id and a product, and the title and categories of its product."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.data.tables.catalogue import Catalogue, read_catalogue
from prodrec.core.data.tables.columns import ColumnNames


def read(folder: Path, *lines: str, requested: ColumnNames | None = None) -> Catalogue:
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return read_catalogue([path], requested or ColumnNames(), scratch=folder)


def rows(catalogue: Catalogue, *columns: str) -> list[tuple[str | None, ...]]:
    return catalogue.frame.select(columns).collect().rows()


def test_blank_ids_are_replaced(tmp_path: Path) -> None:
    catalogue = read(tmp_path, "id,image,leaf", "1,a.jpg,Boots", " ,b.jpg,Boots", ",,Hats")
    assert rows(catalogue, "id", "product") == [("1", "1"), ("b.jpg", "b.jpg"), ("row 4", "row 4")]
    assert [note for note in catalogue.notes if note.startswith("2 rows have no id")]


def test_a_table_without_ids_and_photos(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("title,leaf\nRed,Boots\nBlue,Boots\n", "utf-8")
    catalogue = read_catalogue([path], ColumnNames(), scratch=tmp_path, needs_image=False)
    assert rows(catalogue, "id", "product") == [("2", "2"), ("3", "3")] and not catalogue.has_products


def test_a_row_takes_what_it_lacks_from_the_first_row_of_its_product(tmp_path: Path) -> None:
    """But what it has stays, and rows of a product need not follow each other."""
    catalogue = read(
        tmp_path,
        *("id,image,title,category,colour,fold", "1,a.jpg,,,,", "2,b.jpg,Hat,Hats,red,test"),
        *("1,c.jpg,Boot,Shoes > Boots,blue,train", "1,d.jpg,Other,,,test", "1,e.jpg,,Shoes,,", "3,f.jpg,,,,"),
        requested=ColumnNames(path="category", attributes=("colour",), split="fold"),
    )
    assert rows(catalogue, "id", "title", "level_0", "level_1", "attribute_0", "split") == [
        ("1", "Boot", "Shoes", "Boots", "blue", "train"),
        ("2", "Hat", "Hats", None, "red", "test"),
        ("1", "Boot", "Shoes", "Boots", "blue", "train"),
        ("1", "Other", "Shoes", "Boots", "blue", "test"),
        ("1", None, "Shoes", None, None, None),
        ("3", None, None, None, None, None),
    ]
    assert [note for note in catalogue.notes if note.startswith("2 rows have no category; it is that of the first")]


SIMPLE = "sku,name,image,category"


def test_rows_with_nothing_but_a_photo_belong_to_the_row_above(tmp_path: Path) -> None:
    catalogue = read(tmp_path, SIMPLE, "1,Boot,a.jpg,Boots", ",,b.jpg,", "", ",,c.jpg,", "2,Hat,d.jpg,Hats", ",,e.jpg,")
    filled = [row for row in rows(catalogue, "product", "level_0", "title") if row[1]]  # without the blank row
    assert filled == [("1", "Boots", "Boot")] * 3 + [("2", "Hats", "Hat")] * 2
    assert [note for note in catalogue.notes if note.startswith("3 rows with nothing but a photo")]


@pytest.mark.parametrize("malformed", ["2,Hat,d.jpg,Hats,x", '2,Hat"'])
def test_photos_below_a_malformed_row_are_not_those_of_the_product_above_it(tmp_path: Path, malformed: str) -> None:
    catalogue = read(tmp_path, SIMPLE, "1,Boot,a.jpg,Boots", malformed, ",,e.jpg,", "3,Cap,f.jpg,Caps", ",,g.jpg,")
    assert rows(catalogue, "image", "product", "level_0") == [
        ("a.jpg", "1", "Boots"),
        (None, "row 3", None),
        ("e.jpg", "e.jpg", None),
        ("f.jpg", "3", "Caps"),
        ("g.jpg", "3", "Caps"),
    ]


def test_a_product_without_id_is_not_the_one_above(tmp_path: Path) -> None:
    """It has a title or a category, or the table has no titles."""
    catalogue = read(tmp_path, SIMPLE, "1,Boot,a.jpg,Boots", ",Hat,b.jpg,", ",,c.jpg,Hats")
    assert rows(catalogue, "product") == [("1",), ("b.jpg",), ("c.jpg",)]
    catalogue = read(tmp_path, "sku,image,category", "1,a.jpg,Boots", ",b.jpg,")
    assert rows(catalogue, "product", "level_0") == [("1", "Boots"), ("b.jpg", None)]


def test_the_first_row_of_a_table_has_no_row_above(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(f"{SIMPLE}\n1,Boot,a.jpg,Boots\n", "utf-8")
    second.write_text(f"{SIMPLE}\n,,b.jpg,\n", "utf-8")
    catalogue = read_catalogue([first, second], ColumnNames(), scratch=tmp_path)
    assert rows(catalogue, "product") == [("1",), ("b.jpg",)]


WOOCOMMERCE = "ID,Type,SKU,Name,Categories,Images,Parent"


def test_parents_by_id_or_sku(tmp_path: Path) -> None:
    catalogue = read(
        tmp_path,
        *(WOOCOMMERCE, "21,variation,x-red,X,,a.jpg,x", "11,variable,x,X,Boots,b.jpg,", "12,variable,,Y,Hats,c.jpg,"),
        *("22,variation,,Y,,d.jpg,id:12", "23,variation,12,Z,Caps,e.jpg,gone", "24,simple,z,Z,Caps,f.jpg,"),
    )
    assert rows(catalogue, "id", "product", "level_0") == [
        ("21", "11", "Boots"),
        ("11", "11", "Boots"),
        ("12", "12", "Hats"),
        ("22", "12", "Hats"),
        ("23", "gone", "Caps"),
        ("24", "24", "Caps"),
    ]
    assert catalogue.has_products


def test_grouping_by_another_column(tmp_path: Path) -> None:
    lines = ("id,image,model,leaf", "1,a.jpg,m,Boots", "2,b.jpg,m,Boots", "3,c.jpg,,Boots", "1,d.jpg,n,Boots")
    model = read(tmp_path, *lines, requested=ColumnNames(group_by="model"))
    assert rows(model, "product") == [("m",), ("m",), ("3",), ("n",)]
    assert rows(read(tmp_path, *lines), "product") == [("1",), ("2",), ("3",), ("1",)]
    assert not read(tmp_path, *lines, requested=ColumnNames(group_by="none")).has_products


def test_a_row_without_a_parent_has_that_of_another_row_with_its_id(tmp_path: Path) -> None:
    """Feeds repeat nothing but the id in the rows of further photos. Otherwise one id would be two products."""
    catalogue = read(
        tmp_path,
        *(
            "id,image,model,leaf",
            "1,a.jpg,m,Boots",
            "2,b.jpg,m,Boots",
            "1,c.jpg,,Boots",
            "3,d.jpg,,Hats",
            ",e.jpg,,Hats",
        ),
        requested=ColumnNames(group_by="model"),
    )
    assert rows(catalogue, "product") == [("m",), ("m",), ("m",), ("3",), ("e.jpg",)]


MAGENTO_1 = "sku,_type,_category,_root_category,name,_media_image,colour"


def test_further_categories_of_magento_1_count_whether_they_are_beside_a_photo_or_not(tmp_path: Path) -> None:
    """The deepest of the paths of a product is taken, whatever row it is in."""
    catalogue = read(
        tmp_path,
        *(MAGENTO_1, "A,simple,Gear,Default Category,Bag,a.jpg,red", ",,Gear/Bags,Default Category,,b.jpg,"),
        *(",,Gear/Bags/Big,Default Category,,,", ",,,,,c.jpg,"),
        *("B,simple,Tops,Default Category,Tee,d.jpg,", ",,Sale,Default Category,,,"),
        requested=ColumnNames(attributes=("colour",)),
    )
    big = ("A", "Bag", "Gear", "Bags", "Big", "red")
    columns = ("product", "title", "level_0", "level_1", "level_2", "attribute_0")
    tops = ("B", "Tee", "Tops", None, None, None)
    assert rows(catalogue, *columns) == [big] * 4 + [tops] * 2
    assert [note for note in catalogue.notes if note.startswith("2 rows with nothing but a photo are further")]


def test_notes_on_one_row_are_in_the_singular(tmp_path: Path) -> None:
    catalogue = read(tmp_path, SIMPLE, "1,Boot,a.jpg,Boots", ",,b.jpg,", "1,,c.jpg,", ",Hat,d.jpg,Hats")
    assert [note.partition(";")[0] for note in catalogue.notes] == [
        "1 row with nothing but a photo is a further photo of the product above",
        "2 rows have no category",
        "1 row has no id",
    ]


def test_variants_that_their_product_lists(tmp_path: Path) -> None:
    """Magento 2 lists the variants of a product in its row, which may be below theirs."""
    catalogue = read(
        tmp_path,
        *("sku,name,base_image,categories,configurable_variations", "A-S,A,1.jpg,Boots,", "A-M,A,2.jpg,,"),
        *('A,A,3.jpg,Hats,"sku=A-S,size=S|sku=A-M,size=M"', "B,B,4.jpg,Hats,"),
    )
    assert rows(catalogue, "id", "product", "level_0") == [
        *(("A-S", "A", "Boots"), ("A-M", "A", "Boots"), ("A", "A", "Hats"), ("B", "B", "Hats")),
    ]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Item,ID,Name,Categories,Internal Image URL (Export)", "Image"),
        ("Relationship,CustomLabel,*Title,*Category,PicURL,RelationshipDetails", "Variation"),
    ],
)
def test_rows_of_a_kind_belong_to_the_product_above(tmp_path: Path, header: str, kind: str) -> None:
    """BigCommerce numbers the photos of a product, and eBay labels its variants."""
    lines = ["Product,1,Boot,Boots,a.jpg", f"{kind},2,,,b.jpg", "Product,3,Hat,Hats,c.jpg"]
    catalogue = read(tmp_path, header, *(line + "," * (header.count(",") - 4) for line in lines))
    assert rows(catalogue, "product", "level_0") == [("1", "Boots"), ("1", "Boots"), ("3", "Hats")]


def test_ids_that_look_the_same_are_one_product(tmp_path: Path) -> None:
    """But not those that differ in case or in zeros, which some shops use as different ids."""
    ids = ["a1", " a1", "a1\u00a0", "a\u200b1", "\u200fa1\u200e", "\ufeffa1", "A1", "01", "1"]
    catalogue = read(tmp_path, "image,title,id,leaf", *(f"{i}.jpg,Boot,{id_},Boots" for i, id_ in enumerate(ids)))
    assert rows(catalogue, "product") == [("a1",)] * 6 + [("A1",), ("01",), ("1",)]


@pytest.mark.parametrize("group_by", ["auto", "none", "shop"])
def test_all_photos_of_a_row_are_one_product(tmp_path: Path, group_by: str) -> None:
    """Whether the row has an id or not, or the table has none, or no row shall share its product with another."""
    lines = ['"a.jpg,b.jpg",Boots,{0}', "c.jpg,Boots,{1}", '"d.jpg,e.jpg",Hats,{1}', ",Hats,"]
    requested = ColumnNames(group_by=group_by)
    for header, ids in (("image,leaf,sku", ("", "x")), ("image,leaf,shop", ("", ""))):
        if group_by == "shop" and group_by not in header:
            continue
        catalogue = read(tmp_path, header, *(line.format(*ids) for line in lines), requested=requested)
        products = [product for (product,) in rows(catalogue, "product")]
        is_joined = ids[1] != "" and group_by == "auto"
        assert catalogue.has_products and len(set(products)) == 3 + (not is_joined)
        assert products[0] == products[1] and products[3] == products[4] and (products[2] == products[3]) == is_joined
        assert [id_ for (id_,) in rows(catalogue, "id")][::5] == ["a.jpg", "row 5"]
