"""The export of every shop system goes from file to trained model with no option but --images."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from conftest import Export

SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
    "Variant Grams,Variant Inventory Qty,Variant Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,"
    "Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,SEO Description,"
    "Google Shopping / Google Product Category,Variant Image,Variant Weight Unit,Cost per item,Status"
)
CDN = "https://cdn.shopify.com/s/files/1/0001/products"


def test_shopify(export: Export) -> None:
    """Only the first row of a product has title and category; further rows are photos, variants or both."""
    rows = []
    for i in range(12):
        kind = ("Shirts", "Dresses", "Boots")[i % 3]
        category = "Apparel & Accessories > " + ("Shoes" if kind == "Boots" else "Clothing > " + kind)
        own = {"Handle": f"item-{i}"}
        rows += [
            {
                **own,
                "Title": f"{kind} & Co {i}",
                "Body (HTML)": '<p>Soft,\nwarm and "light".</p>\n\n<ul>\n<li>5" wide</li></ul>',
                "Product Category": category,
                "Type": kind,
                "Tags": "new, summer",
                "Variant SKU": f"SKU-{i}-S",
                "Image Src": f"{CDN}/item-{i}-a.jpg?v=1600000000",
                "Image Position": "1",
                "Variant Image": f"{CDN}/item-{i}-s.jpg?v=1600000000",
            },
            {**own, "Option1 Value": "M", "Variant SKU": f"SKU-{i}-M", "Image Src": f"{CDN}/item-{i}-b.jpg?v=16"},
            {**own, "Image Src": f"{CDN}/item-{i}-c.jpg?v=16", "Image Position": "3"},
        ]
        export.photos(*(f"item-{i}-{view}.jpg" for view in "abcs"))
    rows.append({"Handle": "item-0", "Option1 Value": "XL", "Variant SKU": "SKU-0-XL"})  # a variant without a photo
    dataset = export.train(export.csv(SHOPIFY, rows, "products_export.csv"))
    assert export.paths(dataset) == {
        ("Apparel & Accessories", "Clothing", "Shirts"),
        ("Apparel & Accessories", "Clothing", "Dresses"),
        ("Apparel & Accessories", "Shoes"),
    }
    assert dataset.product_count == 12 and len(dataset) == 48
    assert set(dataset.products()["title"]) == {f"{('Shirts', 'Dresses', 'Boots')[i % 3]} & Co {i}" for i in range(12)}
    assert export.rejected() == [("38", "missing photo")]
    assert "visual" in export.measure()


def test_shopify_as_of_2025(export: Export) -> None:
    """The columns were renamed, and without a category the type is the class."""
    header = (
        "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,"
        "Option1 name,Option1 value,Price,Product image URL,Image position,Image alt text,Variant image URL,Gift card"
    )
    rows = []
    for i in range(12):
        handle, kind = f"item-{i}", ("Shirt", "Boot")[i % 2]
        rows += [
            {
                "Title": f"{kind} {i}",
                "URL handle": handle,
                "Type": kind,
                "SKU": f"{i}-S",
                "Product image URL": f"{i}a.jpg",
            },
            {"URL handle": handle, "SKU": f"{i}-M", "Product image URL": f"{i}b.jpg"},
        ]
        export.photos(f"{i}a.jpg", f"{i}b.jpg")
    dataset = export.train(export.csv(header, rows))
    assert export.paths(dataset) == {("Shirt",), ("Boot",)}
    assert dataset.product_count == 12 and len(dataset) == 24 and export.rejected() == []


WOOCOMMERCE = (
    'ID,Type,SKU,Name,Published,"Is featured?","Visibility in catalog","Short description",Description,'
    '"Tax status","In stock?",Stock,"Regular price",Categories,Tags,"Shipping class",Images,Parent,'
    '"Grouped products",Upsells,Cross-sells,"External URL",Position,"Attribute 1 name","Attribute 1 value(s)"'
)
UPLOADS = "https://shop.example/wp-content/uploads/2024/05"


def test_woocommerce(export: Export) -> None:
    """Variations name their parent by its SKU, or by `id:` and its ID, and have no categories."""
    rows = []
    categories = ("Clothing > Tops\\, Tees, Sale", "Clothing > Hoodies", "Decor, Decor > Lamps")
    for i in range(12):
        sku = f"woo-{i}" if i % 2 else ""
        parent = {"ID": f"{100 + i}", "Type": "variable", "SKU": sku, "Name": f"Item {i}"}
        photos = [f"{i}-front.jpg", f"{i}-back.jpg"]
        images = ", ".join(f"{UPLOADS}/{photo}" for photo in photos)
        rows += [
            {**parent, "Categories": categories[i % 3], "Images": images, "Tags": "new, soft"},
            {
                "ID": f"{200 + i}",
                "Type": "variation",
                "SKU": f"{sku}-red" if sku else "",
                "Name": f"Item {i} - Red",
                "Images": f"{UPLOADS}/{i}-red.jpg",
                "Parent": sku or f"id:{100 + i}",
            },
        ]
        export.photos(*photos, f"{i}-red.jpg")
    rows.append({"ID": "300", "Type": "simple", "Name": "Draft", "Categories": "Clothing > Hoodies"})
    dataset = export.train(export.csv(WOOCOMMERCE, rows, "wc-product-export.csv"))
    assert export.paths(dataset) == {("Clothing", "Tops, Tees"), ("Clothing", "Hoodies"), ("Decor", "Lamps")}
    assert dataset.product_count == 12 and len(dataset) == 36
    assert export.rejected() == [("26", "missing photo")]


def test_magento_2(export: Export) -> None:
    header = (
        "sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,description,"
        "short_description,weight,product_online,visibility,price,url_key,base_image,base_image_label,small_image,"
        "thumbnail_image,swatch_image,created_at,additional_attributes,qty,additional_images,additional_image_labels,"
        "configurable_variations,configurable_variation_labels"
    )
    rows = []
    for i in range(12):
        kind = ("Gear/Bags", "Gear/Watches", "Women/Tops/Jackets")[i % 3]
        parts = kind.split("/")
        paths = ["Default Category/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
        base, extra = f"/m/b/mb{i:02}-0.jpg", [f"/m/b/mb{i:02}-0.jpg", f"/m/b/mb{i:02}_alt.jpg"]
        rows.append(
            {
                "sku": f"24-MB{i:02}",
                "product_type": "simple",
                "name": f"Joust {i}",
                "base_image": base,
                "small_image": base,
                "thumbnail_image": base,
                "additional_images": ",".join(extra),
                "categories": ",".join(paths),
                "additional_attributes": "color=Red,size=S",
            }
        )
        export.photos(*(name.lstrip("/") for name in extra))
    variants = "|".join(f"sku=24-MB{i:02},size=S,color=Red" for i in (9, 10, 11))
    rows.append({"sku": "24-MB", "product_type": "configurable", "configurable_variations": variants})
    rows.append({"sku": "24-MB00", "store_view_code": "german", "name": "Joust 0 (de)"})
    dataset = export.train(export.csv(header, rows))
    assert export.paths(dataset) == {("Gear", "Bags"), ("Gear", "Watches"), ("Women", "Tops")}
    assert dataset.product_count == 10 and len(dataset) == 24, "three rows are variants of one product"
    assert export.rejected() == [("14", "missing photo"), ("15", "missing photo")]


def test_magento_1(export: Export) -> None:
    """Further rows have neither SKU nor name: they are further photos, each with or without a further category."""
    header = (
        "sku,_store,_attribute_set,_type,_category,_root_category,_product_websites,description,image,image_label,"
        "name,price,short_description,small_image,status,thumbnail,qty,_media_attribute_id,_media_image,_media_lable,"
        "_media_position,_media_is_disabled"
    )
    rows = []
    for i in range(12):
        kind = ("Furniture/Living Room", "Electronics/Cameras")[i % 2]
        photo = f"/i/t/item-{i}.jpg"
        rows += [
            {
                "sku": f"n{i}",
                "_type": "simple",
                "_category": kind,
                "_root_category": "Default Category",
                "name": f"Item {i}",
                "image": photo,
                "_media_attribute_id": "88",
                "_media_image": photo,
            },
            {"_category": "Sale", "_media_attribute_id": "88", "_media_image": f"/i/t/item-{i}_1.jpg"},
            {"_media_attribute_id": "88", "_media_image": f"/i/t/item-{i}_2.jpg"},
        ]
        export.photos(*(f"i/t/item-{i}{view}.jpg" for view in ("", "_1", "_2")))
    dataset = export.train(export.csv(header, rows))
    assert export.paths(dataset) == {("Furniture", "Living Room"), ("Electronics", "Cameras")}
    assert dataset.product_count == 12 and len(dataset) == 36 and export.rejected() == []


GOOGLE = ("Toys & Games > Toys > Dolls, Playsets & Toy Figures > Dolls", "Food, Beverages & Tobacco > Beverages > Tea")


def test_google_merchant_xml(export: Export) -> None:
    items = []
    for i in range(12):
        group = f"<g:item_group_id>group{i // 2}</g:item_group_id>" if i < 4 else ""
        items.append(
            f"<item><g:id>TV_{i}</g:id><title><![CDATA[Item <b>{i}</b>]]></title><description>new</description>"
            f"<link>https://shop.example/{i}</link><g:image_link>https://shop.example/img/{i}.jpg?w=800</g:image_link>"
            f"<g:additional_image_link>https://shop.example/img/{i}b.jpg</g:additional_image_link>"
            f"<g:additional_image_link>https://shop.example/img/{i}c.jpg</g:additional_image_link>"
            f"<g:price>15.00 USD</g:price>{group}"
            f"<g:google_product_category>{escape(GOOGLE[i % 2])}</g:google_product_category></item>"
        )
        export.photos(f"{i}.jpg", f"{i}b.jpg", f"{i}c.jpg")
    feed = (
        '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>Shop</title>'
        f"<link>https://shop.example</link>{''.join(items)}</channel></rss>"
    )
    (export.shop.directory / "feed.xml").write_text(feed, "utf-8")
    dataset = export.train("feed.xml")
    assert export.paths(dataset) == {tuple(path.split(" > ")) for path in GOOGLE}
    assert dataset.product_count == 10 and len(dataset) == 36 and export.rejected() == []
    assert dataset.products()["title"][0] == "Item 0"


def test_google_merchant_tsv(export: Export) -> None:
    header = (
        "id,title,description,link,condition,price,availability,image_link,additional_image_link,gtin,mpn,brand,"
        "google_product_category,product_type,item_group_id"
    )
    rows = []
    for i in range(12):
        rows.append(
            {
                "id": f"{i}",
                "title": f'Item {i} 5"',
                "image_link": f"http://shop.example/{i}.jpg",
                "additional_image_link": f"http://shop.example/{i}b.jpg,http://shop.example/{i}c.jpg",
                "google_product_category": ("2271", "1604")[i % 2],  # numbers of the taxonomy, no names
                "product_type": ("Home > Women > Dresses", "Home > Women > Skirts")[i % 2],
            }
        )
        export.photos(f"{i}.jpg", f"{i}b.jpg", f"{i}c.jpg")
    dataset = export.train(export.csv(header, rows, "feed.tsv"))
    assert {path[-1] for path in export.paths(dataset)} == {"Dresses", "Skirts"}
    assert dataset.product_count == 12 and len(dataset) == 36 and export.rejected() == []
