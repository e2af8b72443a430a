"""Lists, folders and archives of research datasets open with no option but --images."""

from __future__ import annotations

import io
import json
import re
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pytest

if TYPE_CHECKING:
    from conftest import Export


class List(NamedTuple):
    """A list of photos: its file, the lines above the rows, row i, its photo, and what is understood."""

    file: str
    header: str
    row: str
    photo: str
    paths: set[tuple[str, ...]]
    products: int = 12


HM = (
    "article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,graphical_appearance_no,"
    "colour_group_name,department_name,index_name,index_group_name,section_name,garment_group_name,detail_desc"
)
SIX = {(f"{half // 2}", f"{half}") for half in range(6)}
LISTS = {
    "DeepFashion": List(
        "list_category_img.txt",
        "12\nimage_name  category_label",
        "img/Blouse_{half}/img_{i:08}.jpg                    {two}",
        "img/Blouse_{half}/img_{i:08}.jpg",
        {("0",), ("1",)},
    ),
    "Stanford Online Products": List(
        "Ebay_train.txt",
        "image_id class_id super_class_id path",
        "{i} {half} {third} bicycle_final/{half}_{i}.JPG",
        "bicycle_final/{half}_{i}.JPG",
        SIX,
    ),
    "Products-10K": List("train.csv", "name,class,group", "{i}.jpg,{half},{third}", "{i}.jpg", SIX),
    "Shopee": List(
        "train.csv",
        "posting_id,image,image_phash,title,label_group",
        "train_{i},{i:032x}.jpg,94974f937d4c2433,Paper bag,{two}",
        "{i:032x}.jpg",
        {("0",), ("1",)},
    ),
    "H&M": List(
        "articles.csv",
        HM,
        '01087{i:05},01087{half},Top,253,Top {two},Upper {two},1010016,Black,Jersey,A,Ladies,Basics,Jersey,"x, y"',
        "010/01087{i:05}.jpg",
        {("Upper 0", "Top 0"), ("Upper 1", "Top 1")},
        products=6,
    ),
    "Myntra": List(
        "myntra.csv",
        "p_id,name,price,colour,brand,img,ratingCount,product_type",
        "{i},Item {i},10,red,A,http://a.example/images/{i}.jpg,3,Kurta {two}",
        "{i}.jpg",
        {("Kurta 0",), ("Kurta 1",)},
    ),
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS)
def test_lists(export: Export, listed: List) -> None:
    values = [{"i": i, "half": i // 2, "third": i // 4, "two": i % 2} for i in range(12)]
    rows = [listed.row.format(**value) for value in values]
    (export.shop.directory / listed.file).write_text("\n".join([listed.header, *rows]) + "\n", "utf-8")
    export.photos(*(listed.photo.format(**value) for value in values))
    dataset = export.prepare(listed.file)
    assert dataset.product_count == listed.products and len(dataset) == 12 and export.rejected() == []
    assert export.paths(dataset) == listed.paths


def test_metadata_beside_the_photos_of_every_split(export: Export) -> None:
    """Hugging Face's image folders have a table in each of them, and may repeat the names of photos."""
    tables = []
    for split in ("train", "test"):
        records = [{"file_name": f"{i}.png", "text": f"Item {i}", "label": ("boot", "cap")[i % 2]} for i in range(12)]
        export.photos(*(f"{split}/{i}.png" for i in range(12)))
        tables.append(export.json_lines(records, f"photos/{split}/metadata.jsonl"))
    dataset = export.prepare(" ".join(tables))
    assert dataset.product_count == len(dataset) == 24 and export.rejected() == []
    assert [len(dataset.rows(split)) for split in ("train", "test")] == [12, 12]
    assert dataset.ids()[0] == "train/0.png" and dataset.products()["title"][0] == "Item 0"


def test_shards_with_one_name_in_several_folders(export: Export) -> None:
    """So Hugging Face converts datasets to Parquet: default/train/0000.parquet."""
    names = []
    for split, first, count in (("train", 0, 16), ("test", 16, 8)):
        rows = []
        for i in range(first, first + count):
            stream = io.BytesIO()
            export.shop.picture(i).save(stream, "PNG")
            rows.append({"image": {"bytes": stream.getvalue(), "path": f"{i}.png"}, "label": ("boot", "cap")[i % 2]})
        path = export.shop.directory / "default" / split / "0000.parquet"
        path.parent.mkdir(parents=True)
        pl.DataFrame(rows).write_parquet(path)
        names.append(f"default/{split}/0000.parquet")
    result = export.prodrec("prodrec prepare --images default")
    match = re.search(r"name them: prodrec prepare (.*)\.$", " ".join(result.output.split()))
    assert result.exit_code == 2 and match
    assert set(expanded(match[1])) == set(names)
    dataset = export.prepare(" ".join(expanded(match[1])), images="default")
    assert dataset.product_count == len(dataset) == 24
    assert [len(dataset.rows(split)) for split in ("train", "test")] == [16, 8]


def expanded(words: str) -> list[str]:
    """Return the files that words of a command line name, as a shell does."""
    return [str(path) for word in shlex.split(words) for path in sorted(Path().glob(word))]


def test_a_table_in_the_folder_of_photos_is_named(export: Export) -> None:
    export.photos(*(f"images/{i}.jpg" for i in range(12)))
    lines = ["id,articleType", *(f"{i},{('Boot', 'Cap')[i % 2]}" for i in range(12))]
    (export.shop.photos / "styles.csv").write_text("\n".join(lines) + "\n", "utf-8")
    output = " ".join(export.run("prodrec prepare --images photos").split())
    match = re.search(r"contains tables, which are not read; prodrec prepare (\S+) --images photos reads them", output)
    assert match, output
    assert export.paths(export.prepare(match[1], out="from-table")) == {("Boot",), ("Cap",)}


def test_webdataset(export: Export) -> None:
    """A table names the photos of an archive by the keys of its samples."""
    lines = ["__key__,label"]
    with tarfile.open(export.shop.directory / "shard-000000.tar", "w") as archive:
        for i in range(12):
            stream = io.BytesIO()
            export.shop.picture(i).save(stream, "JPEG")
            members = {"jpg": stream.getvalue(), "cls": b"%d" % (i % 2), "json": json.dumps({"i": i}).encode()}
            for ending, data in members.items():
                member = tarfile.TarInfo(f"{i:06}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            lines.append(f"{i:06},{('boot', 'cap')[i % 2]}")
    (export.shop.directory / "labels.csv").write_text("\n".join(lines) + "\n", "utf-8")
    dataset = export.prepare("labels.csv", images="shard-000000.tar")
    assert export.paths(dataset) == {("boot",), ("cap",)}
    assert dataset.ids()[0] == "000000" and len(dataset) == 12 and export.rejected() == []


def test_train_and_test_folders_of_rp2k(export: Export) -> None:
    export.photos(*(f"{('train', 'test')[i % 4 == 3]}/{('可乐', '茶')[i // 4 % 2]}/{i}.jpg" for i in range(24)))
    dataset = export.prepare("")
    assert export.paths(dataset) == {("可乐",), ("茶",)} and len(dataset.rows("test")) == 6
