"""Paths of an index as classes of a run."""

from __future__ import annotations

import numpy as np

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.pipeline.index_classes import merge_paths, tree_paths

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("Bags", "Shoes"), ("Totes", "Boots", "Clogs")),
    parents=(np.array([-1, -1], np.int32), np.array([0, 1, 1], np.int32)),
)


def test_a_class_has_the_parent_of_the_tree() -> None:
    paths = [("Winter", "Boots"), ("Shoes",), ("Hats", "Caps"), (), ("Sale", "Totes", "Canvas"), ("Bags", "Boots")]
    assert tree_paths(paths, TREE) == {
        ("Winter", "Boots"): ("Shoes", "Boots"),
        ("Shoes",): ("Shoes",),
        ("Hats", "Caps"): ("Hats", "Caps"),
        (): (),
        ("Sale", "Totes", "Canvas"): ("Bags", "Totes", "Canvas"),
        ("Bags", "Boots"): ("Shoes", "Boots"),
    }


def test_known_paths_need_no_new_classes() -> None:
    classes = merge_paths([("Shoes", "Boots"), ("Bags",), ()], TREE, "leaf")
    assert classes.taxonomy is TREE and classes.class_of == {("Shoes", "Boots"): 1} and classes.new == {}


def test_new_classes_come_after_those_of_the_run() -> None:
    paths = [("Hats", "Caps"), ("Shoes", "Sandals"), ("Hats", "Boots"), ("Shoes", "Clogs"), ("Shoes", "Clogs", "Red")]
    classes = merge_paths(paths, TREE, "leaf")
    tree = classes.taxonomy
    assert tree.names[0].to_polars().to_list() == ["Bags", "Shoes", "Hats"] and classes.new == {"root": 1, "leaf": 3}
    assert tree.names[1].to_polars().to_list()[:3] == ["Totes", "Boots", "Clogs"]
    for path in paths[:4]:
        shown = tree.path(classes.class_of[path])
        assert shown == (path if path != ("Hats", "Boots") else ("Hats", "Boots (Hats)"))
    assert classes.class_of["Shoes", "Clogs", "Red"] == classes.class_of["Shoes", "Clogs"] == 2


def test_the_vote_at_an_upper_level() -> None:
    classes = merge_paths([("Shoes", "Boots"), ("Hats", "Caps"), ("Bags",)], TREE, "root")
    assert classes.class_of == {("Shoes", "Boots"): 1, ("Hats", "Caps"): 2, ("Bags",): 0}
    assert classes.new == {"root": 1} and classes.taxonomy.count("leaf") == 3


def test_equal_new_names_in_several_places() -> None:
    classes = merge_paths([("Hats", "Kids"), ("Shoes", "Kids"), ("Toys", "Kids")], TREE, "leaf")
    names = classes.taxonomy.names[1].to_polars().to_list()[3:]
    assert sorted(names) == ["Kids", "Kids (Shoes)", "Kids (Toys)"] and len(set(classes.class_of.values())) == 3
