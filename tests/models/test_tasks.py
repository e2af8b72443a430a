from __future__ import annotations

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.models.families import make_recipe
from prodrec.models.tasks import Tasks, choose_tasks


def tasks_of(
    taxonomy: Taxonomy, attributes_: tuple[Attribute, ...], family: str = "ssmtl-ca", /, **settings: str
) -> Tasks:
    return choose_tasks(make_recipe(family, settings).network, taxonomy, attributes_)


def test_papers_weights_are_the_defaults(taxonomy: Taxonomy, attributes: tuple[Attribute, ...]) -> None:
    assert tasks_of(taxonomy, attributes, "bmtl-rl") == Tasks(("root", "leaf"), (0.1, 1.0))
    tasks = tasks_of(taxonomy, attributes)
    assert (tasks.levels, tasks.level_weights, tasks.attribute_head_weight) == (("leaf",), (1.0,), 1.0)
    assert dict(zip(tasks.attributes, tasks.attribute_weights, strict=True)) == {attributes[0]: 0.1, attributes[1]: 0.3}


def test_weights_are_set_by_name(taxonomy: Taxonomy, attributes: tuple[Attribute, ...]) -> None:
    tasks = tasks_of(
        taxonomy,
        attributes,
        heads="levels,attributes",
        head_weights="leaf:2,attributes:0.4",
        attribute_weights="colour:0.7",
    )
    assert tasks.levels == ("root", "leaf") and tasks.level_weights == (1.0, 2.0) and tasks.attribute_head_weight == 0.4
    assert tasks.attribute_weights == (0.7, 0.3)


@pytest.mark.parametrize(
    ("file", "line", "weights"),
    [
        ("levels:0.5", "root:0.2", (0.2, 0.5)),  # the family itself has root:0.1
        ("root:0.2", "levels:0.5", (0.2, 0.5)),
        ("root:0.2,levels:0.5", "leaf:1", (0.2, 1.0)),
    ],
)
def test_the_more_specific_name_determines_the_weight_in_any_order(
    taxonomy: Taxonomy, attributes: tuple[Attribute, ...], file: str, line: str, weights: tuple[float, float]
) -> None:
    twice = make_recipe("bmtl-rl", {"head_weights": file}).with_settings({"head_weights": line}, source="--set")
    assert choose_tasks(twice.network, taxonomy, attributes).level_weights == weights


def test_levels_by_their_own_names(attributes: tuple[Attribute, ...]) -> None:
    tree = Taxonomy(("leaf", "kind"), (("a",), ("b", "c")), ((-1,), (0, 0)))
    with pytest.raises(BadOption, match=r"leaf is unclear, .* is not the deepest one; for the deepest one name kind"):
        tasks_of(tree, attributes, "bcnn")
    assert tasks_of(tree, attributes, "bcnn", heads="kind").levels == ("kind",)


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("bcnn", {"heads": "brand"}, "the catalogue has no level 'brand'; its levels are root, leaf"),
        ("bcnn", {"heads": "laef"}, r"no level 'laef' \(did you mean leaf\?\)"),
        ("bmtl-ca", {"attributes": "color"}, r"'color' is no attribute of this dataset \(did you mean colour\?\)"),
        (
            "bmtl-ca",
            {"attribute_weights": "colours:1"},
            r"'colours' is no attribute of this dataset \(did you mean colo",
        ),
        ("bmtl-rl", {"head_weights": "middle:1"}, "no head 'middle'; this network has root, leaf"),
        ("bmtl-rl", {"head_weights": "attributes:1"}, "no head 'attributes'"),
    ],
)
def test_tasks_that_the_dataset_does_not_have(
    taxonomy: Taxonomy, attributes: tuple[Attribute, ...], family: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(BadOption, match=message):
        tasks_of(taxonomy, attributes, family, **settings)


def test_catalogues_without_attributes_or_with_one_level(attributes: tuple[Attribute, ...], taxonomy: Taxonomy) -> None:
    with pytest.raises(BadOption, match="this dataset has none; prepare it with --attributes"):
        tasks_of(taxonomy, ())
    flat = Taxonomy(("kind",), (("a", "b"),), ((-1, -1),))
    with pytest.raises(BadOption, match="the classes have one level only"):
        tasks_of(flat, attributes, "bmtl-rl")
    assert tasks_of(flat, attributes, "bmtl-rl", heads="leaf").levels == ("kind",)


@pytest.mark.parametrize("heads", ["leaf", "root"])
def test_distances_in_the_tree_need_a_level_above(
    attributes: tuple[Attribute, ...], taxonomy: Taxonomy, heads: str
) -> None:
    tree = Taxonomy(("kind",), (("a", "b"),), ((-1, -1),)) if heads == "leaf" else taxonomy
    first = tree.levels[0]
    message = rf"tree_smoothing=9\.0 needs a level above .* and {first} is the first one .*; use label_smoothing\."
    with pytest.raises(BadOption, match=message):
        tasks_of(tree, attributes, "visual", heads=heads, tree_smoothing="9")
    assert tasks_of(tree, attributes, "visual", heads=heads, label_smoothing="0.1").levels == (first,)
    assert tasks_of(taxonomy, attributes, "visual", heads="leaf", tree_smoothing="9").levels == ("leaf",)
