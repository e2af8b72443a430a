"""Files of marketplaces, with lines above the header, and exports of product databases; no option but --images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Export


def test_ebay(export: Export) -> None:
    """Variations have nothing but a label of their own and photos, and belong to the listing above."""
    action = "*Action(SiteID=US|Country=US|Currency=USD|Version=1193|CC=UTF-8)"
    header = (
        f"{action},CustomLabel,*Category,StoreCategory,*Title,Subtitle,Relationship,RelationshipDetails,ScheduleTime,"
        "*ConditionID,*C:Brand,PicURL,GalleryType,*Description,*Format,*Duration,*StartPrice,*Quantity,*Location"
    )
    above = (
        '#INFO,Version=0.0.2,Template= eBay-listings,,\r\n"#INFO Action, and Category are required",,\r\n#INFO,,\r\n'
    )
    rows = []
    for i in range(12):
        rows += [
            {
                action: "Add",
                "CustomLabel": f"L{i}",
                "*Title": f"Item {i}",
                "*ConditionID": "1000",
                "*Category": ("57988", "63861")[i % 2],
                "PicURL": f"https://shop.example/{i}a.jpg|https://shop.example/{i}b.jpg",
            },
            {
                "Relationship": "Variation",
                "RelationshipDetails": "Colour=Red",
                "CustomLabel": f"L{i}-S",
                "PicURL": f"Red=https://shop.example/{i}c.jpg",
            },
        ]
        export.photos(f"{i}a.jpg", f"{i}b.jpg", f"{i}c.jpg")
    dataset = export.prepare(export.csv(header, rows, above=above))
    assert export.paths(dataset) == {("57988",), ("63861",)}
    assert dataset.product_count == 12 and len(dataset) == 36 and export.rejected() == []


def test_amazon_template(export: Export) -> None:
    names = [
        *("feed_product_type", "item_sku", "brand_name", "item_name", "external_product_id", "item_type"),
        *("standard_price", "quantity", "main_image_url", "other_image_url1", "other_image_url2", "parent_child"),
        *("parent_sku", "relationship_type", "variation_theme"),
    ]
    rows = []
    for i in range(12):
        own = {"feed_product_type": ("shirt", "dress")[i % 2], "item_name": f"Item {i}"}
        rows += [
            {**own, "item_sku": f"P{i}", "parent_child": "parent", "main_image_url": f"https://shop.example/{i}a.jpg"},
            {
                **own,
                "item_sku": f"P{i}-S",
                "parent_child": "child",
                "parent_sku": f"P{i}",
                "other_image_url1": f"https://shop.example/{i}b.jpg",
            },
        ]
        export.photos(f"{i}a.jpg", f"{i}b.jpg")
    labels = "\t".join(name.replace("_", " ").title() for name in names)
    above = f"TemplateType=fptcustom\tVersion=2023.1211\tThe top 3 rows are for Amazon.com use only.\n{labels}\n"
    dataset = export.prepare(export.csv("\t".join(names), rows, "Flat.File.Clothing.txt", above=above))
    assert export.paths(dataset) == {("shirt",), ("dress",)}
    assert dataset.product_count == 12 and len(dataset) == 24 and export.rejected() == []


def test_meta_catalogue(export: Export) -> None:
    header = (
        "id,title,description,availability,condition,price,link,image_link,brand,google_product_category,"
        "fb_product_category,quantity_to_sell_on_facebook,sale_price,item_group_id,gender,color,size,video[0].url,"
        "video[0].tag[0],product_tags[0],style[0],additional_image_link"
    )
    above = "# Required | The unique ID of the item.,# Required | A title, such as Blue shirt.,# Optional |\r\n"
    rows = []
    for i in range(12):
        rows.append(
            {
                "id": f"m{i}",
                "title": f"Item {i}",
                "image_link": f"https://shop.example/{i}.jpg",
                "google_product_category": f"Clothing > {('Dresses', 'Shoes')[i % 2]}",
                "item_group_id": f"g{i // 2}",
                "additional_image_link": f"https://shop.example/{i}b.jpg",
            }
        )
        export.photos(f"{i}.jpg", f"{i}b.jpg")
    dataset = export.prepare(export.csv(header, rows, "catalog_products.csv", above=above))
    assert export.paths(dataset) == {("Clothing", "Dresses"), ("Clothing", "Shoes")}
    assert dataset.product_count == 6 and len(dataset) == 24 and export.rejected() == []


def test_akeneo(export: Export) -> None:
    """Its product models, the parents, are in a table of their own."""
    header = (
        "sku;categories;enabled;family;groups;parent;name-fr_FR;name-en_US;description-en_US-ecommerce;picture;size"
    )
    rows = []
    for i in range(12):
        rows.append(
            {
                "sku": f"a{i}",
                "categories": ("blazers,print", "tshirts")[i // 2 % 2],
                "enabled": "1",
                "family": "clothing",
                "parent": f"model{i // 2}",
                "name-en_US": f"Item {i}",
                "name-fr_FR": f"Le {i}",
                "picture": f"files/a{i}/picture/a{i}.jpg",
            }
        )
        export.photos(f"files/a{i}/picture/a{i}.jpg")
    dataset = export.prepare(export.csv(header, rows))
    assert export.paths(dataset) == {("blazers",), ("tshirts",)}
    assert dataset.product_count == 6 and len(dataset) == 12 and export.rejected() == []
    assert dataset.products()["title"][0] == "Item 0"


def test_salsify(export: Export) -> None:
    products = []
    for i in range(12):
        asset = {
            "salsify:id": f"da{i}",
            "salsify:url": f"https://images.salsify.com/s--x--/{i}.jpg",
            "salsify:name": "",
        }
        category = f"Apparel > {('Shirts', 'Trousers')[i % 2]}"
        own = {"salsify:id": f"S{i}", "Product Name": f"Item {i}", "Category": [category] if i % 2 else category}
        products.append({**own, "salsify:digital_assets": [asset]})
        export.photos(f"{i}.jpg")
    sections = [
        {"header": {"version": "2016-01-01", "scope": ["products"]}},
        {"attributes": [{"salsify:id": "Category", "salsify:data_type": "enumerated"}]},
        {"products": products},
    ]
    (export.shop.directory / "salsify.json").write_text(json.dumps(sections), "utf-8")
    dataset = export.prepare("salsify.json")
    assert export.paths(dataset) == {("Apparel", "Shirts"), ("Apparel", "Trousers")}
    assert dataset.product_count == len(dataset) == 12 and dataset.ids()[0] == "S0"
