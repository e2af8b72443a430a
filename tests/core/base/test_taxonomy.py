"""The category tree: paths, ancestors, its files, and the first place where two trees differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.artefact import Fingerprint
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.taxonomy import Taxonomy


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


def test_to_the_disk_and_back(tmp_path: Path) -> None:
    found = tree()
    told = json.loads(json.dumps(found.save(tmp_path / "classes")))
    assert [(level["name"], level["classes"]) for level in told["levels"]] == [("root", 2), ("middle", 3), ("leaf", 5)]
    again = Taxonomy.load(tmp_path / "classes", told)
    assert again == found and again.leaves == found.leaves
    assert all(parents.dtype == np.int32 for parents in again.parents)
    np.save(tmp_path / "classes" / "2.parents.npy", np.array([0, 0, 1, 3, 0], np.int32))
    with pytest.raises(AssertionError, match="do not exist"):
        Taxonomy.load(tmp_path / "classes", told)
    (tmp_path / "classes" / "1.names.npy").unlink()
    with pytest.raises(BadArtefact, match=r"1\.names\.npy cannot be read"):
        Taxonomy.load(tmp_path / "classes", told)


def test_a_fingerprint_follows_names_levels_and_parents() -> None:
    def digest(found: Taxonomy) -> str:
        fingerprint = Fingerprint()
        found.add_to(fingerprint)
        return fingerprint.hexdigest()

    others = [
        tree(("root", "middle", "kind")),
        tree(names=(("衣服", "bags"), ("tops", "skirts", "bags"), (*LEAVES[:4], "tee"))),
        tree(parents=((-1, -1), (0, 0, 1), (0, 1, 1, 2, 0))),
    ]
    assert digest(tree()) == digest(tree()) and len({digest(found) for found in [tree(), *others]}) == 4
    assert all(found != tree() for found in others) and tree() == tree() and tree() != "tree"


def test_ancestors_are_worked_out_once() -> None:
    found = tree()
    assert found.ancestors() is found.ancestors()
    with pytest.raises(ValueError, match="read-only"):
        found.ancestors()[0, 0] = 1


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
    found = tree(names=(("r", "s"), ("a", "b", "c"), ("w", "x", "y", "z")), parents=((-1, -1), (1, 0, 1), (2, 0, 1, 1)))
    assert found.ancestors_of_level("leaf", "middle").tolist() == [2, 0, 1, 1]
    assert found.ancestors_of_level("leaf", "root").tolist() == [1, 1, 0, 0]
    assert found.ancestors_of_level("middle", "root").tolist() == [1, 0, 1]
    assert found.ancestors_of_level("middle", "middle").tolist() == [0, 1, 2]
    assert found.ancestors_of(np.array([3, 0, 3]), "leaf", "root").tolist() == [0, 1, 0]
