"""The usual names of columns, as shops and public datasets write them, in English and in other languages.

Names are compared in lower case, with letters and digits only, and without accents: `Image Src` is `imagesrc`, and
`Imágenes` is `imagenes`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

ID_NAMES = (
    *("id", "handle", "urlhandle", "handleid", "productidnoneditable", "productid", "sku", "skuid", "itemid", "asin"),
    *("uid", "articleid", "productinternalid", "salsifyid", "customlabel", "customlabelsku", "itemnumber"),
    *("parentasin", "itemsku", "uniqid", "pid", "productcode", "ugs", "artikelnummer", "artikelnr", "artnr", "cod"),
    *("artikelid", "produktid", "produktnummer", "productnummer", "idproduit", "idproducto", "idprodotto"),
    *("referencia", "riferimento", "codigo", "codice", "identifikator"),
    *("externalid", "internalreference", "defaultcode", "productsku", "sellersku", "postingid", "imageid", "idcode"),
    *("key", "артикул", "商品id", "货号", "商品编号"),
)
"""The handle and the product's id are before the SKU: Shopify and Squarespace number the variants of a product by SKU,
and the photos by none."""

IMAGE_NAMES = (
    *("image", "photo", "picture", "img", "file", "filename", "imagepath", "imagefile", "imagename", "imagefilename"),
    *("photopath", "photofile", "photoname", "path", "images", "photos", "imageurlhighres", "imageurl", "photourl"),
    *("imagesrc", "imagelink", "baseimage", "imurl", "imageurls", "imageurlsxyz", "salsifydigitalassets", "mainimage"),
    *("primaryimage", "covermediaurl", "picurl", "itemphotourl", "internalimageurlexport", "productmediamainimageurl"),
    *("mainimageurl", "productimageurl", "hostedimageurls", "bild", "bilder", "bildurl", "bilderurl", "bildname"),
    *("bilddatei", "hauptbild", "produktbild", "foto", "fotos", "imagen", "imagenes", "immagine", "immagini"),
    *("afbeelding", "afbeeldingen", "imagem", "imagens", "obrazki", "billeder", "urldesimages", "urlimage"),
    *("media", "filepath", "imgpath", "imgname", "изображение", "изображения", "фото", "图片", "商品图片", "主图"),
    *("图片链接", "画像"),
)
FURTHER_IMAGE_NAMES = (
    *("additionalimagelink", "additionalimagelinks", "additionalimages", "variantimage", "variantimageurl"),
    *("furtherimages", "images", "photos", "galleryimages", "mediagallery", "mediaimage", "weiterebilder"),
    *("zusatzbilder", "media"),
)
NUMBERED_IMAGE = re.compile(
    r"(?:(?:additional|other|main|product|productmediagallery)?(?:image|photo|picture)(?:url|link|src|file|path)?"
    r"|additionalimagelink"
    r"|(?:bild|foto|imagen|immagine|afbeelding)(?:url|link)?)(\d+)"
)
"""One of several columns of photos: image1, Other Image URL 2, Product Image File - 3."""

TITLE_NAMES = (
    *("title", "name", "productname", "productdisplayname", "producttitle", "itemname", "displayname"),
    *("prodname", "text", "caption"),
    *("titel", "titre", "titulo", "titolo", "nom", "nombre", "nome", "naam", "namn", "navn", "nazwa"),
    *("bezeichnung", "artikelbezeichnung", "artikelname", "produktname", "designation", "nomduproduit", "productnaam"),
    *("название", "наименование", "标题", "商品标题", "商品名称", "宝贝名称", "商品名"),
)

LOCAL_TITLE = re.compile(r"(?:product[ _-]?)?(?:name|title)[ _-]?\(?([a-z]{2})(?:[_-][a-z]{2,4})?\)?", re.IGNORECASE)
"""A title in one of several languages: name-en_US, name(en-gb), title_de."""

LEVEL_NAMES = (
    ("root", "middle", "leaf"),
    ("mastercategory", "subcategory", "articletype"),
    ("category", "subcategory", "subsubcategory"),
    ("maincategory", "subcategory", "subsubcategory"),
    ("hauptkategorie", "unterkategorie", "unterunterkategorie"),
    ("kategorie", "unterkategorie", "unterunterkategorie"),
    ("categorie", "souscategorie", "soussouscategorie"),
    ("categoria", "subcategoria"),
    ("categoria", "sottocategoria"),
    ("hoofdcategorie", "subcategorie"),
    ("categorie", "subcategorie"),
    ("productgroupname", "producttypename"),
    ("superclassid", "classid"),
    ("group", "class"),
)
"""Sets of category columns, shallowest level first. A set with several columns in the table is used."""

NUMBERED_LEVEL = re.compile(
    r"(?:(?:product|item)?(?:(?:category|cat)(?:level|lvl|l)?|level|lvl)"
    r"|(?:kategorie|categorie|categoria)(?:ebene|niveau|nivel|livello)?)(\d+)(?:name|category|cat)?"
)
"""A level by its depth: category1, level_2, lvl3, Category L1 Name."""

SINGLE_NAMES = (
    *("leaf", "root", "middle", "mastercategory", "articletype", "subcategory"),
    *("productcategory", "googleproductcategory", "categorypath", "categorytree", "productcategorytree"),
    *("breadcrumbs", "breadcrumb", "categories", "producttype", "category", "leafcategory", "label", "labels", "class"),
    *("kategoriepfad", "kategorien", "kategorie", "produktkategorie", "warengruppe", "categorias", "categoria"),
    *(
        "categorieen",
        "categorie",
        "kategorier",
        "категория",
        "категории",
        "类目",
        "商品类目",
        "分类",
        "商品分类",
        "类别",
    ),
    *("classname", "labelname", "target", "classlabel"),
    *("type", "customproducttype", "feedproducttype", "itemtype", "collection", "categoriesxyz", "maincategory"),
    *("categoryname", "topcategory", "categid", "ebaycategory1name", "family", "labelgroup", "categorylabel"),
    *("categoryid", "classid", "labelid"),
)
"""Columns that contain a class or a whole path. The first one in the table with paths is used, or else the first."""

SLASH_PATHS = (
    *("categorypath", "categorytree", "productcategorytree", "breadcrumbs", "breadcrumb", "categories"),
    *("kategoriepfad", "kategorien", "categorias", "categorieen"),
)
"""Columns whose paths may be cut at `/` or `|`, as Magento writes them."""

SPLIT_COLUMN_NAMES = ("split", "subset", "partition", "datasplit", "set", "fold", "evaluationstatus")
"""Columns that may contain the split of a row. They are used only if the user names them."""

GROUP_NAMES = ("itemgroupid", "parentasin", "parentsku", "productcode")
"""Columns that name the product of which a row is a variant. Shops number variants as products of their own."""

PARENT_NAMES = (
    *("parent", "parentid", "ubergeordnetesprodukt", "eltern", "superior", "genitore", "hoofd", "ascendente"),
    *("nadrzedny", "overordnad"),
)
"""Columns that may name such a product, or else the parent of a category."""

AKENEO_NAMES = frozenset({"sku", "family", "parent"})
"""Columns of an export of Akeneo's products, whose parents are in a table of their own."""

SKU_NAMES = ("sku", "ugs", "artikelnummer", "cod", "ref")
"""Columns with a second id, by which WooCommerce names a parent."""

WOOCOMMERCE_NAMES = (
    ("Type", "Categories", "Images"),
    ("Typ", "Kategorien", "Bilder"),
    ("Type", "Catégories", "Images"),
    ("Tipo", "Categorías", "Imágenes"),
    ("Tipo", "Categorie", "Immagini"),
    ("Tipo", "Categorie", "Immagine"),
    ("Type", "Categorieën", "Afbeeldingen"),
    ("Tipo", "Categorias", "Imagens"),
    ("Rodzaj", "Kategorie", "Obrazki"),
    ("Typ", "Kategorier", "Bilder"),
)
"""Columns of type, categories and photos of a WooCommerce export, which the language of the shop translates: English,
German, French, Spanish, Italian, Dutch, Portuguese, Polish, Swedish. One of a parent or an SKU is there as well."""

MAGENTO_2_VARIANTS = "configurable_variations"
"""Of Magento 2, `sku=A-S,size=S|sku=A-M,size=M`: the variants of a product, which are rows of their own."""

KIND_NAMES = {"item": "internalimageurlexport", "relationship": "relationshipdetails"}
"""The columns with the kind of a row of BigCommerce and eBay, with another column by which they are recognised."""

CONTINUATIONS = ("variant", "image", "video", "variation")
"""Kinds, in lower case, of rows that belong to the product above, although they have an id of their own."""

MAGENTO_1_CATEGORY = "_category"
"""Magento 1 exports further categories of a product, as further photos, in rows that have no SKU."""

MAGENTO_1_JOINER = "\n"
"""Stands between these categories, once they are those of one row."""


def normalise(name: str) -> str:
    """Return a column name as it is compared with usual names: lower case, letters and digits only, no accents."""
    return re.sub(r"[\W_]", "", name if name.isascii() else unicodedata.normalize("NFKD", name)).casefold()


def woocommerce_categories(names: Collection[str]) -> str | None:
    """Return the column of categories if a table with columns of these names is a WooCommerce export, or else None."""
    if {normalise(name) for name in names}.isdisjoint((*PARENT_NAMES, *SKU_NAMES)):
        return None
    composed = {unicodedata.normalize("NFC", name): name for name in names}
    return next((composed[triple[1]] for triple in WOOCOMMERCE_NAMES if composed.keys() >= set(triple)), None)
