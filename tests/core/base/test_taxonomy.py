"""The category tree: paths, ancestors, files, and the first difference between two trees."""

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


def test_depth_levels_and_counts() -> None:
    taxonomy = tree()
    assert (taxonomy.depth, taxonomy.leaf_level, taxonomy.leaves[-1]) == (3, "leaf", "T恤")
    assert [taxonomy.count(level) for level in taxonomy.levels] == [2, 3, 5]


def test_ancestors_and_paths_agree() -> None:
    taxonomy = tree()
    ancestors = taxonomy.ancestors()
    assert ancestors.dtype == np.int32
    assert ancestors.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 4]]
    for leaf, classes in enumerate(ancestors.tolist()):
        assert taxonomy.path(leaf) == tuple(names[c] for names, c in zip(taxonomy.names, classes, strict=True))
    assert taxonomy.path(3) == ("bags", "bags", "tote")
    level = taxonomy.levels[1]
    assert taxonomy.path(taxonomy.names[1].index("bags"), level) == ("bags", "bags")


def test_a_path_ends_at_the_deepest_label() -> None:
    taxonomy = tree()
    assert taxonomy.known_path([0, 1, 2]) == taxonomy.path(2) == ("衣服", "skirts", "skirt")
    assert taxonomy.known_path([0, 1, -1]) == ("衣服", "skirts")
    assert taxonomy.known_path(np.array([1, -1, -1])) == ("bags",)


def test_one_level_is_a_tree() -> None:
    flat = tree(("leaf",), (("a", "b"),), ((-1, -1),))
    assert flat.ancestors().tolist() == [[0], [1]]
    assert flat.path(1) == ("b",)
    assert flat.leaf_level == flat.levels[0]


def test_a_saved_tree_is_loaded(tmp_path: Path) -> None:
    taxonomy = tree()
    description = json.loads(json.dumps(taxonomy.save(tmp_path / "classes")))
    assert [(level["name"], level["classes"]) for level in description["levels"]] == [
        ("root", 2),
        ("middle", 3),
        ("leaf", 5),
    ]
    loaded = Taxonomy.load(tmp_path / "classes", description)
    assert loaded == taxonomy and loaded.leaves == taxonomy.leaves
    assert all(parents.dtype == np.int32 for parents in loaded.parents)
    np.save(tmp_path / "classes" / "2.parents.npy", np.array([0, 0, 1, 3, 0], np.int32))
    with pytest.raises(ValueError, match="do not exist"):
        Taxonomy.load(tmp_path / "classes", description)
    (tmp_path / "classes" / "1.names.npy").unlink()
    fewer = {"levels": description["levels"][:1]}
    with pytest.raises(BadArtefact, match="has the classes of more levels than the 1 that are described"):
        Taxonomy.load(tmp_path / "classes", fewer)
    with pytest.raises(BadArtefact, match=r"1\.names\.npy cannot be read"):
        Taxonomy.load(tmp_path / "classes", description)


def test_the_fingerprint_depends_on_levels_names_and_parents() -> None:
    def digest(taxonomy: Taxonomy) -> str:
        fingerprint = Fingerprint()
        taxonomy.add_to(fingerprint)
        return fingerprint.hexdigest()

    others = [
        tree(("root", "middle", "kind")),
        tree(names=(("衣服", "bags"), ("tops", "skirts", "bags"), (*LEAVES[:4], "tee"))),
        tree(parents=((-1, -1), (0, 0, 1), (0, 1, 1, 2, 0))),
    ]
    assert digest(tree()) == digest(tree()) and len({digest(other) for other in [tree(), *others]}) == 4
    assert all(other != tree() for other in others) and tree() == tree() and tree() != "tree"


def test_ancestors_are_computed_once() -> None:
    taxonomy = tree()
    assert taxonomy.ancestors() is taxonomy.ancestors()
    with pytest.raises(ValueError, match="read-only"):
        taxonomy.ancestors()[0, 0] = 1


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
def test_an_invalid_tree_is_refused(
    levels: tuple[str, ...], names: tuple[tuple[str, ...], ...], parents: tuple[tuple[int, ...], ...]
) -> None:
    with pytest.raises(ValueError):
        tree(levels, names, parents)


LEAVES = ("shirt", "vest", "skirt", "tote", "T恤")


@pytest.mark.parametrize(
    ("other", "difference"),
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
def test_the_first_difference(other: Taxonomy, difference: str | None) -> None:
    assert tree().difference(other) == difference
    assert (other.difference(tree()) is None) == (difference is None)


def test_ancestors_between_any_two_levels() -> None:
    taxonomy = tree(
        names=(("r", "s"), ("a", "b", "c"), ("w", "x", "y", "z")), parents=((-1, -1), (1, 0, 1), (2, 0, 1, 1))
    )
    assert taxonomy.ancestors_of_level("leaf", "middle").tolist() == [2, 0, 1, 1]
    assert taxonomy.ancestors_of_level("leaf", "root").tolist() == [1, 1, 0, 0]
    assert taxonomy.ancestors_of_level("middle", "root").tolist() == [1, 0, 1]
    assert taxonomy.ancestors_of_level("middle", "middle").tolist() == [0, 1, 2]
    assert taxonomy.ancestors_of(np.array([3, 0, 3]), "leaf", "root").tolist() == [0, 1, 0]
