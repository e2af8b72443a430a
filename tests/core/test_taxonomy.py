"""The category tree: paths, ancestors, its JSON, and the first place where two trees differ."""

from __future__ import annotations

import json

import numpy as np
import pytest

from prodrec.core.taxonomy import Taxonomy


def tree(
    levels: tuple[str, ...] = ("root", "middle", "leaf"),
    names: tuple[tuple[str, ...], ...] = (
        ("衣服", "bags"),
        ("tops", "skirts", "bags"),
        ("shirt", "vest", "skirt", "tote", "T恤"),
    ),
    parents: tuple[tuple[int, ...], ...] = ((-1, -1), (0, 0, 1), (0, 0, 1, 2, 0)),
) -> Taxonomy:
    return Taxonomy(levels, names, tuple(np.array(p, dtype=np.int32) for p in parents))


def test_what_it_says_of_itself() -> None:
    found = tree()
    assert (found.depth, found.leaf_level, found.leaves[-1]) == (3, "leaf", "T恤")
    assert [found.count(level) for level in found.levels] == [2, 3, 5]


def test_ancestors_and_paths_agree() -> None:
    found = tree()
    ancestors = found.ancestors()
    assert ancestors.dtype == np.int32
    assert ancestors.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 4]]
    for leaf, above in enumerate(ancestors.tolist()):
        assert found.path(leaf) == tuple(names[c] for names, c in zip(found.names, above, strict=True))
    assert found.path(3) == ("bags", "bags", "tote")
    level = found.levels[1]
    assert found.path(found.names[1].index("bags"), level) == ("bags", "bags")


def test_one_level_is_a_tree_too() -> None:
    flat = tree(("leaf",), (("a", "b"),), ((-1, -1),))
    assert flat.ancestors().tolist() == [[0], [1]]
    assert flat.path(1) == ("b",)
    assert flat.leaf_level == flat.levels[0]


def test_json_and_back() -> None:
    found = tree()
    again = Taxonomy.from_json(json.loads(json.dumps(found.as_json())))
    assert again.difference(found) is None
    assert all(parents.dtype == np.int32 for parents in again.parents)
    assert again.as_json() == found.as_json()


@pytest.mark.parametrize(
    ("levels", "names", "parents"),
    [
        (("root", "leaf"), (("a",), ("b", "b")), ((-1,), (0, 0))),
        (("root", "leaf"), (("a",), ("b",)), ((-1,), (1,))),
        (("root", "leaf"), (("a",), ("b",)), ((-1,), (-1,))),
        (("root", "leaf"), (("a",), ("b",)), ((0,), (0,))),
        (("root", "leaf"), (("a",), ("b", "c")), ((-1,), (0,))),
        (("root", "leaf"), (("a",),), ((-1,),)),
        ((), (), ()),
    ],
)
def test_what_is_no_tree(
    levels: tuple[str, ...], names: tuple[tuple[str, ...], ...], parents: tuple[tuple[int, ...], ...]
) -> None:
    with pytest.raises(AssertionError):
        tree(levels, names, parents)


LEAVES = ("shirt", "vest", "skirt", "tote", "T恤")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (tree(), None),
        (
            tree(levels=("root", "middle", "kind")),
            "its levels are root, middle, leaf here and root, middle, kind there",
        ),
        (
            tree(("root", "leaf"), (("a",), ("b",)), ((-1,), (0,))),
            "its levels are root, middle, leaf here and root, leaf there",
        ),
        (
            tree(names=(("衣服", "bags"), ("tops", "skirts", "bags"), (*LEAVES[:4], "tee"))),
            "class 4 of level leaf is 'T恤' here and 'tee' there",
        ),
        (
            tree(names=(("bags", "衣服"), ("tops", "skirts", "bags"), LEAVES)),
            "class 0 of level root is '衣服' here and 'bags' there",
        ),
        (
            tree(
                names=(("衣服", "bags"), ("tops", "skirts", "bags"), LEAVES[:4]),
                parents=((-1, -1), (0, 0, 1), (0, 0, 1, 2)),
            ),
            "level leaf has 5 classes here and 4 there",
        ),
        (
            tree(parents=((-1, -1), (0, 0, 1), (0, 1, 1, 2, 0))),
            "'vest' of level leaf is under 'tops' here and under 'skirts' there",
        ),
    ],
)
def test_the_first_difference_is_told(other: Taxonomy, told: str | None) -> None:
    assert tree().difference(other) == told
    assert (other.difference(tree()) is None) == (told is None)


def test_the_class_above_is_found_between_any_two_levels() -> None:
    tree = Taxonomy.from_json(
        {
            "levels": [
                {"name": "root", "classes": ["r", "s"], "parents": [-1, -1]},
                {"name": "middle", "classes": ["a", "b", "c"], "parents": [1, 0, 1]},
                {"name": "leaf", "classes": ["w", "x", "y", "z"], "parents": [2, 0, 1, 1]},
            ]
        }
    )
    assert tree.above("leaf", "middle").tolist() == [2, 0, 1, 1]
    assert tree.above("leaf", "root").tolist() == [1, 1, 0, 0]
    assert tree.above("middle", "root").tolist() == [1, 0, 1] and tree.above("middle", "middle").tolist() == [0, 1, 2]
