"""The category tree of the example catalogue, and titles like those of sellers: Chinese, English or both, with noise.

Words are shared as in a real market: sibling leaves share some words, a brand occurs in one or two roots, colours occur
everywhere, and 包邮 or "free shipping" carry no information. One title in four does not name the leaf.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Leaf:
    """The categories above a leaf, and the names of its products in both languages."""

    root: str
    middle: str
    english: tuple[str, ...]
    chinese: tuple[str, ...]


def _leaf(root: str, middle: str, english: str, chinese: str) -> Leaf:
    return Leaf(root, middle, tuple(english.split(", ")), tuple(chinese.split(", ")))


TREE = {
    "T-Shirts": _leaf("Clothing", "Tops", "T-Shirt, tee, short-sleeve top", "T恤, 短袖上衣"),
    "Sneakers": _leaf("Shoes", "Sports Shoes", "sneakers, running shoes, sports shoes", "运动鞋, 跑步鞋, 板鞋"),
    "Tote Bags": _leaf("Bags", "Handbags", "tote bag, shopper, handbag", "托特包, 手提包"),
    "Mugs": _leaf("Kitchen", "Cups", "mug, coffee mug, coffee cup", "马克杯, 咖啡杯"),
    "Toy Cars": _leaf("Toys", "Toy Vehicles", "toy car, model car", "玩具车, 小汽车"),
    "Trousers": _leaf("Clothing", "Bottoms", "trousers, long pants", "长裤, 休闲裤"),
    "Saucepans": _leaf("Kitchen", "Cookware", "saucepan, milk pan, cooking pot", "奶锅, 汤锅"),
    "Rucksacks": _leaf("Bags", "Backpacks", "rucksack, backpack, hiking backpack", "双肩包, 登山包"),
    "Ankle Boots": _leaf("Shoes", "Boots", "ankle boots, Chelsea boots", "短靴, 切尔西靴"),
    "Footballs": _leaf("Toys", "Balls", "football, ball size 5, training ball", "足球, 训练球"),
    "Hoodies": _leaf("Clothing", "Tops", "hoodie, hooded sweatshirt, long-sleeve top", "连帽卫衣, 长袖上衣"),
    "Shoulder Bags": _leaf("Bags", "Handbags", "shoulder bag, handbag with strap", "单肩包, 斜挎包"),
    "Kettles": _leaf("Kitchen", "Tea and Coffee", "kettle, water kettle", "水壶, 烧水壶"),
    "Shorts": _leaf("Clothing", "Bottoms", "shorts, short pants", "短裤, 沙滩裤"),
    "Flip-Flops": _leaf("Shoes", "Sandals", "flip-flops, beach slippers", "人字拖, 沙滩拖鞋"),
    "Frying Pans": _leaf("Kitchen", "Cookware", "frying pan, non-stick pan", "平底锅, 煎锅"),
    "Suitcases": _leaf("Bags", "Luggage", "suitcase, trolley case", "拉杆箱, 行李箱"),
    "Kites": _leaf("Toys", "Outdoor Toys", "kite, beach kite", "风筝, 沙滩风筝"),
    "Skirts": _leaf("Clothing", "Bottoms", "skirt, A-line skirt", "半身裙, 短裙"),
    "Tea Cups": _leaf("Kitchen", "Cups", "tea cup, cup with saucer", "茶杯, 咖啡杯碟"),
    "High-Tops": _leaf("Shoes", "Sports Shoes", "high-top sneakers, high-top sports shoes", "高帮运动鞋, 高帮板鞋"),
    "Toy Trucks": _leaf("Toys", "Toy Vehicles", "toy truck, model truck", "玩具卡车, 工程车"),
    "Clutches": _leaf("Bags", "Handbags", "clutch, evening handbag", "手拿包, 晚宴包"),
    "Vests": _leaf("Clothing", "Tops", "vest, sleeveless top, tank top", "背心, 无袖上衣"),
    "Stockpots": _leaf("Kitchen", "Cookware", "stockpot, large cooking pot", "汤锅, 炖锅"),
    "Rain Boots": _leaf("Shoes", "Boots", "rain boots, wellington boots", "雨靴, 雨鞋"),
    "School Bags": _leaf("Bags", "Backpacks", "school bag, school backpack", "书包, 学生双肩包"),
    "Beach Balls": _leaf("Toys", "Balls", "beach ball, inflatable ball", "沙滩球, 充气球"),
    "Teapots": _leaf("Kitchen", "Tea and Coffee", "teapot, tea kettle", "茶壶, 泡茶壶"),
}
"""The leaves, from head to tail."""

MATERIALS = {
    "Clothing": ("cotton", "linen", "wool"),
    "Shoes": ("leather", "canvas", "rubber"),
    "Bags": ("leather", "canvas", "nylon"),
    "Toys": ("plastic", "wood", "paper"),
    "Kitchen": ("steel", "enamel", "ceramic"),
}
_BRANDS = {
    "Clothing": ("Nord-Vik", "O'Malley & Co", "云织", "H.Lind"),
    "Shoes": ("Nord-Vik", "Zeph-Run", "L'Allure", "飞步"),
    "Bags": ("L'Allure", "Carry-On & On", "山海行", "H.Lind"),
    "Toys": ("Tiny-Tot", "K&P", "小鹿乐园", "Zeph-Run"),
    "Kitchen": ("Pan & Lid", "Hearth-90", "K&P", "灶台记"),
}
_NOISE_ENGLISH = ("free shipping", "hot sale", "new arrival", "best price", "100% genuine", "2.5% off", "gift")
_NOISE_CHINESE = ("包邮", "新款", "特价", "正品", "热卖", "送礼物", "【限时】", "2020新款")
_GENERIC_NOUNS = {
    "Clothing": (("clothing", "fashion wear"), ("服装", "百搭服饰")),
    "Shoes": (("shoes", "footwear"), ("鞋子", "鞋")),
    "Bags": (("bag", "travel bag"), ("包包", "箱包")),
    "Toys": (("toy", "kids toy"), ("玩具", "儿童玩具")),
    "Kitchen": (("kitchenware", "for the kitchen"), ("厨房用品", "厨具")),
}
"""English and Chinese nouns by root."""
_TRANSLATIONS = """
red=红色 orange=橙色 yellow=黄色 green=绿色 blue=蓝色 purple=紫色 pink=粉色 brown=棕色 grey=灰色 black=黑色 white=白色
plain=纯色 striped=条纹 dotted=波点 checked=格子 cotton=纯棉 linen=亚麻 wool=羊毛 leather=真皮 canvas=帆布 rubber=橡胶
nylon=尼龙 plastic=塑料 wood=木制 paper=纸质 steel=不锈钢 enamel=搪瓷 ceramic=陶瓷
"""
_CHINESE = dict(pair.split("=") for pair in _TRANSLATIONS.split())
_FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


def write_title(leaf: str, colour: str, pattern: str, material: str, rng: random.Random) -> str:
    """Return a title for one product: brand, properties, noun and noise."""
    category = TREE[leaf]
    language = rng.choices(("english", "chinese", "both"), (45, 45, 10))[0]
    chinese = language == "chinese"
    noun = rng.choice(category.chinese if chinese else category.english)
    if rng.random() < 0.25:
        noun = rng.choice(_GENERIC_NOUNS[category.root][chinese])
    properties = [
        word
        for word, share in ((colour, 0.65), (pattern, 0.2 if pattern == "plain" else 0.55), (material, 0.45))
        if rng.random() < share
    ]
    words = [_CHINESE[word] if chinese else word for word in properties] + [noun]
    if language == "both":
        words.append(rng.choice(category.chinese))
    if rng.random() < 0.75:
        words.insert(0, rng.choice(_BRANDS[category.root]))
    for _ in range(rng.choice((0, 1, 1, 2))):
        noise = rng.choice(_NOISE_CHINESE if chinese or language == "both" else _NOISE_ENGLISH)
        words.insert(rng.choice((0, len(words))), noise)
    title = (" " if language != "chinese" or rng.random() < 0.4 else "").join(words)
    if language == "english":
        title = rng.choice((str.title, str.upper, str, str))(title)
    if rng.random() < 0.12:
        title = title.translate(_FULL_WIDTH)
    return title + rng.choice(("", "", "", "!", "！" if chinese else "!!"))
