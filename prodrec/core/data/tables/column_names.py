"""The usual names of columns, as shops and public datasets write them.

Names are compared in lower case, with letters and digits only: `Image Src` is `imagesrc`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

ID_NAMES = (
    *("id", "handle", "urlhandle", "handleid", "sku", "skuid", "productid", "itemid", "asin", "uid", "articleid"),
    *("parentasin", "itemsku", "uniqid", "pid", "productcode"),
)
"""The handle is before the SKU: Shopify numbers the variants of a product by SKU, and its photos by none."""

IMAGE_NAMES = (
    *("image", "photo", "picture", "img", "file", "filename", "imagepath", "imagefile", "imagename", "imagefilename"),
    *("photopath", "photofile", "photoname", "path", "images", "photos", "imageurlhighres", "imageurl", "photourl"),
    *("imagesrc", "imagelink", "baseimage", "imurl", "imageurls", "imageurlsxyz", "mainimage", "primaryimage"),
    *("mainimageurl", "productimageurl", "hostedimageurls"),
)
FURTHER_IMAGE_NAMES = (
    *("additionalimagelink", "additionalimagelinks", "additionalimages", "variantimage", "variantimageurl"),
    *("furtherimages", "galleryimages", "mediagallery", "mediaimage"),
)
NUMBERED_IMAGE = re.compile(
    r"(?:(?:additional|other|main|product)?(?:image|photo|picture)(?:url|link|src)?|additionalimagelink)(\d+)"
)
"""One of several columns of photos: image1, Other Image URL 2."""

TITLE_NAMES = ("title", "name", "productname", "productdisplayname", "producttitle", "itemname", "displayname")

GROUP_NAMES = ("itemgroupid", "parentasin", "parentsku")
"""Columns that name the product of which a row is a variant. Shops number variants as products of their own."""

PARENT_NAMES = ("parent", "parentid")
"""Columns that may name such a product, or else the parent of a category."""

WOOCOMMERCE_NAMES = frozenset({"Type", "Categories", "Images"})
"""Columns of every WooCommerce export with categories and photos, besides `Parent` or `SKU`."""

MAGENTO_1_CATEGORY = "_category"
"""Magento 1 exports further categories of a product, as further photos, in rows that have no SKU."""


def normalise(name: str) -> str:
    """Return a column name as it is compared with usual names: lower case, letters and digits only."""
    return re.sub(r"[\W_]", "", name.casefold())


def is_woocommerce(names: Collection[str]) -> bool:
    """Return whether a table with columns of these names is a WooCommerce export."""
    return WOOCOMMERCE_NAMES.issubset(names) and not {"Parent", "SKU"}.isdisjoint(names)
