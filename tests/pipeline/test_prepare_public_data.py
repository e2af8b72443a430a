"""Public datasets and folders go from file to trained model with no option but --images."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import polars as pl
import pytest

if TYPE_CHECKING:
    from conftest import Export


def amazon_2014(i: int) -> dict[str, Any]:
    return {
        "asin": f"B00{i}",
        "title": f"Item {i} &amp; Co",
        "price": 3.5,
        "salesRank": {"Toys": i},
        "imUrl": f"http://ecx.images-amazon.com/images/I/{i}.jpg",
        "categories": [["Sports", "Dance"], ["Clothing", *(("Girls", "Skirts"), ("Boys", "Belts"))[i % 2]]],
    }


def amazon_2018(i: int) -> dict[str, Any]:
    return {
        "asin": f"B00{i}",
        "title": f"Item {i}",
        "main_cat": "Clothing",
        "also_buy": [f"B00{i - 1}"],
        "category": ["Clothing", *(("Girls", "Skirts"), ("Boys", "Belts"))[i % 2]],
        "imageURL": [f"https://images-na.ssl-images-amazon.com/images/I/{i}._US40_.jpg"],
        "imageURLHighRes": [f"https://images-na.ssl-images-amazon.com/images/I/{i}.jpg"],
    }


def amazon_2023(i: int) -> dict[str, Any]:
    address = f"https://m.media-amazon.com/images/I/{i}"
    return {
        "main_category": "AMAZON FASHION",
        "title": f"Item {i}",
        "average_rating": 4.5,
        "price": None,
        "images": [{"thumb": f"{address}._AC_.jpg", "large": f"{address}.jpg", "variant": "MAIN", "hi_res": None}],
        "categories": ["Clothing", *(("Girls", "Skirts"), ("Boys", "Belts"))[i % 2]],
        "details": {"Size": "M"},
        "parent_asin": f"B00{i}",
        "bought_together": None,
        "videos": [],
    }


@pytest.mark.parametrize("record", [amazon_2014, amazon_2018, amazon_2023])
def test_amazon_json_lines(export: Export, record: Any) -> None:
    export.photos(*(f"{i}.jpg" for i in range(12)))
    records = [record(i) for i in range(12)]
    key = "categories" if "categories" in records[0] else "category"
    dataset = export.train(export.json_lines([*records, {**records[0], "asin": "X", "parent_asin": "X", key: []}]))
    assert export.paths(dataset) == {("Clothing", "Girls", "Skirts"), ("Clothing", "Boys", "Belts")}
    assert dataset.product_count == len(dataset) == 12
    assert dataset.products()["title"][0] == ("Item 0 & Co" if record is amazon_2014 else "Item 0")
    assert export.rejected() == [("13", "no category")]
    if record is amazon_2023:
        assert "visual" in export.measure()


def test_flipkart(export: Export) -> None:
    header = (
        "uniq_id,crawl_timestamp,product_url,product_name,product_category_tree,pid,retail_price,discounted_price,"
        "image,is_FK_Advantage_product,description,product_rating,overall_rating,brand,product_specifications"
    )
    rows = []
    for i in range(12):
        tree = ("Clothing >> Women's Clothing >> Shorts", "Footwear >> Women's Footwear >> Ballerinas")[i % 2]
        images = [f"http://img5a.flixcart.com/image/short/{i}-{view}.jpeg" for view in range(3)]
        rows.append(
            {
                "uniq_id": f"c2d7{i}",
                "product_name": f"Item {i}",
                "pid": f"SRT{i}",
                "image": json.dumps(images),
                "product_category_tree": f'["{tree}"]',
                "product_specifications": '{"a"=>[{"key"=>"b"}, "c"]}',
            }
        )
        export.photos(*(f"{i}-{view}.jpeg" for view in range(3)))
    rows.append({**rows[0], "uniq_id": "c2d712", "pid": "SRT12", "image": ""})
    dataset = export.train(export.csv(header, rows))
    assert export.paths(dataset) == {
        ("Clothing", "Women's Clothing", "Shorts"),
        ("Footwear", "Women's Footwear", "Ballerinas"),
    }
    assert dataset.product_count == 12 and len(dataset) == 36 and export.rejected() == [("14", "missing photo")]


def test_kaggle_styles(export: Export) -> None:
    """There is no column of photos: they are called ID.jpg. Some titles contain commas that no quotes protect."""
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    lines = [header]
    for i in range(12):
        kind = ("Apparel,Topwear,Shirts", "Footwear,Shoes,Casual Shoes")[i % 2]
        lines.append(f"{15970 + i},Men,{kind},Navy Blue,Fall,2011.0,Casual,Turtle Check {i}")
    lines.append("39403,Men,Apparel,Topwear,Shirts,Blue,Fall,2011.0,Casual,Shirt, with, commas")
    lines.append("12347,Men,Apparel,Topwear,Shirts,Blue,Fall,2011.0,Casual,No photo")
    (export.shop.directory / "styles.csv").write_text("\n".join(lines) + "\n", "utf-8")
    export.photos(*(f"{15970 + i}.jpg" for i in range(12)), "39403.jpg")
    dataset = export.train("styles.csv")
    assert export.paths(dataset) == {("Apparel", "Topwear", "Shirts"), ("Footwear", "Shoes", "Casual Shoes")}
    assert dataset.product_count == len(dataset) == 12
    assert sorted(export.rejected()) == [("14", "malformed row"), ("15", "missing photo")]


def test_hugging_face_parquet(export: Export) -> None:
    """The photos are inside, the label is a number, and the files are the splits."""
    names = ["boot", "sandal", "coat"]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for split, first, count in (("train", 0, 9), ("test", 9, 3)):
        rows = []
        for i in range(first, first + count):
            stream = io.BytesIO()
            export.shop.picture(i).save(stream, "PNG")
            rows.append({"image": {"bytes": stream.getvalue(), "path": None}, "label": i % 3})
        file = export.shop.directory / f"{split}-00000-of-00001.parquet"
        pl.DataFrame(rows).write_parquet(file, metadata=metadata)
    dataset = export.train("train-00000-of-00001.parquet test-00000-of-00001.parquet")
    assert export.paths(dataset) == {(name,) for name in names}
    assert [len(dataset.rows(split)) for split in ("train", "test", "validation")] == [9, 3, 0]
    assert "visual" in export.measure()
    assert export.rejected() == []


def write_xlsx(path: Path, rows: list[list[Any]]) -> None:
    """Write a workbook with one sheet. Numbers are numbers, as spreadsheets make them of ids."""
    cells = [
        "".join(
            f"<c><v>{value}</v></c>"
            if isinstance(value, int)
            else f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
            for value in row
        )
        for row in rows
    ]
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    sheet = "".join(f"<row>{row}</row>" for row in cells)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Products" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)


def test_excel(export: Export) -> None:
    rows: list[list[Any]] = [["Product ID", "Photo", "Product Name", "Category", "Sub Category", "Price"]]
    for i in range(12):
        leaf = ("Lamps", "Mirrors")[i % 2]
        rows.append([1000 + i, export.shop.photo(f"{i}.jpg"), f"Item {i}", "Décor", leaf, 5])
    rows.append([1012, "gone.jpg", "Item 12", "Décor", "Lamps", 5])
    write_xlsx(export.shop.directory / "products.xlsx", rows)
    dataset = export.train("products.xlsx")
    assert export.paths(dataset) == {("Décor", "Lamps"), ("Décor", "Mirrors")}
    assert dataset.ids()[0] == "1000" and dataset.product_count == len(dataset) == 12
    assert export.rejected() == [("14", "missing photo")]


def test_ultralytics_folders(export: Export) -> None:
    """The folders at the top are the splits. There is no table."""
    for i in range(24):
        split = "test" if i < 4 else "val" if i < 8 else "train"
        export.photos(f"{split}/{('boot', 'coat')[i % 2]}/{i}.jpg")
    (export.shop.photos / "train" / "boot" / "labels.cache").write_text("no photo")
    dataset = export.train("")
    assert export.paths(dataset) == {("boot",), ("coat",)}
    assert [len(dataset.rows(split)) for split in ("train", "test", "validation")] == [16, 4, 4]
    assert "visual" in export.measure()
    assert [reason for _, reason in export.rejected()] == ["not a photo"]
