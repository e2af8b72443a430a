"""Exports of more shop systems open with no option but --images. They have the columns of real ones.

The parameters are the header; the rows of product i; its photos; and the category paths of the first products, which
repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Export

SYSTEMS = [
    pytest.param(
        "Item,ID,Name,Type,SKU,Options,Inventory Tracking,Current Stock,Low Stock,Price,Cost Price,Brand ID,Channels,"
        "Categories,Description,Custom Fields,Page Title,Product URL,Weight,Is Visible,Is Featured,Product Condition,"
        "Sort Order,Variant Image URL,Internal Image URL (Export),Image URL (Import),Image Description,"
        "Image is Thumbnail,Image Sort Order,YouTube ID",
        lambda i: [
            {
                "Item": "Product",
                "ID": f"{80 + i}",
                "Name": f"Item {i}",
                "Type": "physical",
                "SKU": f"B{i}",
                "Categories": ("Sale;Bath/Towels", "Kitchen/Mugs", "Garden")[i % 3],
                "Channels": "1",
            },
            {
                "Item": "Variant",
                "ID": f"{200 + i}",
                "SKU": f"B{i}-S",
                "Options": "Name=Size|Value=S",
                "Variant Image URL": f"https://cdn11.bigcommerce.com/s-x/{i}v.jpg",
            },
            *(
                {
                    "Item": "Image",
                    "ID": f"{400 + 2 * i + k}",
                    "Image is Thumbnail": "TRUE",
                    "Internal Image URL (Export)": f"https://store-x.mybigcommerce.com/product_images/{i}-{k}.jpg",
                }
                for k in range(2)
            ),
        ],
        lambda i: (f"{i}v.jpg", f"{i}-0.jpg", f"{i}-1.jpg"),
        (("Bath", "Towels"), ("Kitchen", "Mugs"), ("Garden",)),
        id="BigCommerce",
    ),
    pytest.param(
        "Item Type,Product ID,Product Name,Product Type,Product Code/SKU,Brand Name,Option Set,Product Description,"
        "Price,Product Weight,Allow Purchases?,Product Visible?,Track Inventory,Category,Product Image ID - 1,"
        "Product Image File - 1,Product Image Description - 1,Product Image Is Thumbnail - 1,Product Image Sort - 1,"
        "Product Image ID - 2,Product Image File - 2,Page Title,Product Condition,Product URL,GPS Category",
        lambda i: [
            {
                "Item Type": "Product",
                "Product ID": f"{70 + i}",
                "Product Name": f"Item {i}",
                "Product Type": "P",
                "Category": ("Sale;Bath/Towels", "Kitchen/Mugs", "Garden")[i % 3],
                "Product Image ID - 1": f"{i}",
                "Product Image File - 1": f"a/{i}/item_{i}__1.jpg",
                "Product Image ID - 2": "9",
                "Product Image File - 2": f"a/{i}/item_{i}__2.jpg",
            }
        ],
        lambda i: (f"a/{i}/item_{i}__1.jpg", f"a/{i}/item_{i}__2.jpg"),
        (("Bath", "Towels"), ("Kitchen", "Mugs"), ("Garden",)),
        id="BigCommerce, legacy",
    ),
    pytest.param(
        "Product ID [Non Editable],Variant ID [Non Editable],Product Type [Non Editable],Product Page,Product URL,"
        "Title,Description,SKU,Option Name 1,Option Value 1,Price,Sale Price,On Sale,Stock,Categories,Tags,Weight,"
        "Length,Width,Height,Visible,Hosted Image URLs",
        lambda i: [
            {
                "Product ID [Non Editable]": f"5f{i:022}",
                "Product Type [Non Editable]": "PHYSICAL",
                "Title": f"Item {i}",
                "SKU": f"SQ{i}",
                "Categories": ("/prints/posters", "/mugs, /new")[i % 2],
                "Hosted Image URLs": " ".join(f"https://images.squarespace-cdn.com/v1/{i}{k}.jpg" for k in "ab"),
            }
        ],
        lambda i: (f"{i}a.jpg", f"{i}b.jpg"),
        (("prints", "posters"), ("mugs",)),
        id="Squarespace",
    ),
    pytest.param(
        "handleId,fieldType,name,description,productImageUrl,collection,sku,ribbon,price,surcharge,visible,inventory,"
        "weight,cost,productOptionName1,productOptionType1,productOptionDescription1,additionalInfoTitle1,brand",
        lambda i: [
            {
                "handleId": f"Product_{i}",
                "fieldType": "Product",
                "name": f"Item {i}",
                "sku": f"w{i}",
                "collection": ("Shirts;New", "Mugs")[i % 2],
                "productImageUrl": f"a{i}~mv2.jpg;b{i}~mv2.jpg",
            }
        ],
        lambda i: (f"a{i}~mv2.jpg", f"b{i}~mv2.jpg"),
        (("Shirts",), ("Mugs",)),
        id="Wix",
    ),
    pytest.param(
        "handle,fieldType,name,visible,plainDescription,media,mediaAltText,ribbon,brand,price,cost,inventory,sku,"
        "barcode,weight,productOptionName1,productOptionType1,productOptionChoices1,categories",
        lambda i: [
            {
                "handle": f"p-{i}",
                "fieldType": "PRODUCT",
                "name": f"Item {i}",
                "media": f"https://static.wixstatic.com/media/a{i}~mv2.jpg",
                "categories": ("Shirts", "Mugs")[i % 2],
            },
            {
                "handle": f"p-{i}",
                "fieldType": "MEDIA",
                "media": f"https://static.wixstatic.com/media/b{i}~mv2.jpg",
            },
        ],
        lambda i: (f"a{i}~mv2.jpg", f"b{i}~mv2.jpg"),
        (("Shirts",), ("Mugs",)),
        id="Wix, since 2025",
    ),
    pytest.param(
        "type;product_internal_id;product_sku;product_variation_sku;product_name;product_price;product_description;"
        "product_category_1;product_category_2;product_quantity;product_media_main_image_url;"
        "product_media_main_image_alt;product_media_gallery_image_url_1;product_media_gallery_image_alt_1;"
        "product_option_name;product_option_value;product_brand",
        lambda i: [
            {
                "type": "product",
                "product_internal_id": f"{i + 1000}",
                "product_sku": f"e{i}",
                "product_name": f"Item {i}",
                "product_category_1": ("Apparel / Shirts", "Home / Lamps")[i % 2],
                "product_category_2": "Sale",
                "product_media_main_image_url": f"https://d.example/{i}.jpg",
                "product_media_gallery_image_url_1": f"https://d.example/{i}b.jpg",
            }
        ],
        lambda i: (f"{i}.jpg", f"{i}b.jpg"),
        (("Apparel", "Shirts"), ("Home", "Lamps")),
        id="Ecwid",
    ),
    pytest.param(
        "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Tax rules ID;Reference #;Supplier;"
        "Manufacturer;EAN13;Quantity;Summary;Description;Tags (x,y,z...);Meta title;URL rewritten;"
        "Image URLs (x,y,z...);Image alt texts (x,y,z...);Delete existing images (0 = No, 1 = Yes);Condition",
        lambda i: [
            {
                "Product ID": f"{i + 1}",
                "Active (0/1)": "1",
                "Name *": f"Item {i}",
                "Reference #": f"demo_{i}",
                "Categories (x,y,z...)": ("Home,Women,Dresses", "Home, Men, T-shirts")[i % 2],
                "Image URLs (x,y,z...)": f"https://shop.example/img/p/{i}.jpg,https://shop.example/img/p/{i}-b.jpg",
            }
        ],
        lambda i: (f"{i}.jpg", f"{i}-b.jpg"),
        (("Women", "Dresses"), ("Men", "T-shirts")),
        id="PrestaShop",
    ),
    pytest.param(
        "_ID_;_MODEL_;_SKU_;_NAME_;_PRICE_;_QUANTITY_;_CATEGORY_;_MANUFACTURER_;_IMAGE_;_IMAGES_;_STATUS_",
        lambda i: [
            {
                "_ID_": f"{i}",
                "_MODEL_": f"m{i}",
                "_NAME_": f"Item {i}",
                "_IMAGE_": f"catalog/{i}.jpg",
                "_CATEGORY_": ("Desktops|PC\nFeatured", "Desktops|Mac")[i % 2],
                "_STATUS_": "1",
                "_IMAGES_": f"catalog/{i}b.jpg,catalog/{i}c.jpg",
            }
        ],
        lambda i: (f"catalog/{i}.jpg", f"catalog/{i}b.jpg", f"catalog/{i}c.jpg"),
        (("Desktops", "PC"), ("Desktops", "Mac")),
        id="OpenCart, CSV Price",
    ),
    pytest.param(
        "External ID,Name,Internal Reference,Sales Price,Cost,Product Category,Product Type,Barcode,Image",
        lambda i: [
            {
                "External ID": f"product.t_{i}",
                "Name": f"Item {i}",
                "Internal Reference": f"FURN_{i}",
                "Product Category": ("All / Saleable / Chairs", "All / Saleable / Desks")[i % 2],
                "Product Type": "Goods",
                "Image": f"{i}.png",
            }
        ],
        lambda i: (f"{i}.png",),
        (("Saleable", "Chairs"), ("Saleable", "Desks")),
        id="Odoo",
    ),
    pytest.param(
        "id,name,default_code,list_price,categ_id,categ_id/id,public_categ_ids,detailed_type,image_1920",
        lambda i: [
            {
                "id": f"__export__.template_{i}",
                "name": f"Item {i}",
                "default_code": f"F{i}",
                "categ_id": ("All / Chairs", "All / Desks")[i % 2],
                "image_1920": f"{i}.png",
            }
        ],
        lambda i: (f"{i}.png",),
        (("Chairs",), ("Desks",)),
        id="Odoo, technical names",
    ),
]


@pytest.mark.parametrize(("header", "rows_of", "photos_of", "paths"), SYSTEMS)
def test_shop_systems(
    export: Export,
    header: str,
    rows_of: Callable[[int], Sequence[Mapping[str, str]]],
    photos_of: Callable[[int], Sequence[str]],
    paths: Sequence[tuple[str, ...]],
) -> None:
    photos = [name for i in range(12) for name in photos_of(i)]
    export.photos(*photos)
    dataset = export.prepare(export.csv(header, [row for i in range(12) for row in rows_of(i)]))
    assert export.paths(dataset) == set(paths)
    assert dataset.product_count == 12 and len(dataset) == len(photos)
    assert {reason for _, reason in export.rejected()} <= {"missing photo"}
    assert set(dataset.products()["title"]) == {f"Item {i}" for i in range(12)}
