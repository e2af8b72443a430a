"""The tasks of a network: the levels and attributes that it predicts on a dataset, with their weights in the loss.

The settings name them (`heads=root,attributes`); this module looks the names up in the dataset. It does not import
torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption, did_you_mean
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.models.network_config import NetworkConfig
from prodrec.models.settings.heads import ATTRIBUTES, PAPER_ATTRIBUTE_WEIGHTS, PAPER_HEAD_WEIGHTS, WORDS

OTHERS = "others"
LEVEL_ALIASES = ("levels", "root", "leaf")
"""Names of levels that every dataset has, from the least to the most specific."""


@dataclass(frozen=True)
class Tasks:
    """What a network predicts.

    levels, level_weights: the levels, shallowest first, and their λ (S eq. 5)
    attributes, attribute_columns, attribute_weights: the attributes, their columns in the dataset, their γ (S eq. 7)
    attribute_head_weight: λ of all attributes together
    words, word_head_weight: whether the words of the titles are predicted, and λ
    """

    levels: tuple[str, ...]
    level_weights: tuple[float, ...]
    attributes: tuple[Attribute, ...] = ()
    attribute_columns: tuple[int, ...] = ()
    attribute_weights: tuple[float, ...] = ()
    attribute_head_weight: float = 1.0
    words: bool = False
    word_head_weight: float = 1.0


def choose_tasks(config: NetworkConfig, taxonomy: Taxonomy, attributes: Sequence[Attribute]) -> Tasks:
    """Return the tasks that `config` names, on a dataset with these levels and attributes.

    Raise BadOption if the dataset has no level or attribute of a name in `config`, and for `tree_smoothing` without a
    level above the deepest one that is predicted.
    """
    levels = _choose_levels(config, taxonomy)
    if config.tree_smoothing is not None and levels[-1:] == taxonomy.levels[:1]:
        raise BadOption(
            f"tree_smoothing={config.tree_smoothing} needs a level above the predicted classes, and {levels[-1]} is "
            "the first one of this dataset; use label_smoothing."
        )
    level_weights = _level_weights(config, taxonomy, levels)
    words, word_head_weight = WORDS in config.heads, config.head_weights.get(WORDS, 1.0)
    if ATTRIBUTES not in config.heads:
        return Tasks(levels, level_weights, words=words, word_head_weight=word_head_weight)
    columns = _choose_attributes(config, attributes)
    return Tasks(
        levels,
        level_weights,
        attributes=tuple(attributes[column] for column in columns),
        attribute_columns=columns,
        attribute_weights=_attribute_weights(config, attributes, columns),
        attribute_head_weight=config.head_weights.get(ATTRIBUTES, 1.0),
        words=words,
        word_head_weight=word_head_weight,
    )


def _levels_by_name(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """Return the levels that each name in `heads` stands for. The name of a level wins over an alias."""
    aliases = {"root": taxonomy.levels[:1], "leaf": taxonomy.levels[-1:], "levels": taxonomy.levels}
    return {**aliases, **{level: (level,) for level in taxonomy.levels}}


def _choose_levels(config: NetworkConfig, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Return the levels that `heads` names, shallowest first."""
    levels_by_name = _levels_by_name(taxonomy)
    for alias, place, level in (("root", "first", taxonomy.levels[0]), ("leaf", "deepest", taxonomy.levels[-1])):
        if alias in config.heads and levels_by_name[alias] != (level,):
            raise BadOption(
                f"heads={','.join(config.heads)}: {alias} is unclear, because the level named {alias!r} is not the "
                f"{place} one; for the {place} one name {level}, or prepare the dataset with another name for it."
            )
    levels: set[str] = set()
    for name in config.heads:
        if name not in levels_by_name and name not in (ATTRIBUTES, WORDS):
            raise BadOption(
                f"heads={','.join(config.heads)}: the catalogue has no level {name!r}"
                f"{did_you_mean(name, levels_by_name)}; its levels are {', '.join(taxonomy.levels)}."
            )
        levels.update(levels_by_name.get(name, ()))
    if {"root", "leaf"} <= set(config.heads) and levels_by_name["root"] == levels_by_name["leaf"]:
        raise BadOption(f"heads={','.join(config.heads)}: the classes have one level only ({taxonomy.leaf_level}).")
    return tuple(level for level in taxonomy.levels if level in levels)


def _level_weights(config: NetworkConfig, taxonomy: Taxonomy, levels: Sequence[str]) -> tuple[float, ...]:
    """Return λ of each of `levels`; where `head_weights` names a level in two ways, the more specific name counts."""
    levels_by_name = _levels_by_name(taxonomy)
    for name in config.head_weights:
        named_levels = set(levels_by_name.get(name, ()))
        is_head = name in config.heads if name in (ATTRIBUTES, WORDS) else bool(named_levels & set(levels))
        if not is_head and name not in PAPER_HEAD_WEIGHTS:
            heads = [*levels, *(name for name in (ATTRIBUTES, WORDS) if name in config.heads)]
            raise BadOption(f"head_weights: there is no head {name!r}; this network has {', '.join(heads)}.")

    def specificity(item: tuple[str, float]) -> int:
        return LEVEL_ALIASES.index(item[0]) if item[0] in LEVEL_ALIASES else len(LEVEL_ALIASES)

    weights: dict[str, float] = {}
    for name, weight in sorted(config.head_weights.items(), key=specificity):
        weights |= dict.fromkeys(levels_by_name.get(name, ()), weight)
    return tuple(weights.get(level, 1.0) for level in levels)


def _choose_attributes(config: NetworkConfig, attributes: Sequence[Attribute]) -> tuple[int, ...]:
    """Return the columns of the attributes that `attributes` names."""
    names = [attribute.name for attribute in attributes]
    if not names:
        raise BadOption("heads has attributes, and this dataset has none; prepare it with --attributes.")
    if config.attributes == ("all",):
        return tuple(range(len(names)))
    for name in config.attributes:
        if name not in names:
            raise BadOption(
                f"attributes={','.join(config.attributes)}: {name!r} is no attribute of this dataset"
                f"{did_you_mean(name, names)}; it has {', '.join(names)}."
            )
    return tuple(column for column, name in enumerate(names) if name in config.attributes)


def _attribute_weights(
    config: NetworkConfig, attributes: Sequence[Attribute], columns: Sequence[int]
) -> tuple[float, ...]:
    """Return γ of the attributes in `columns`."""
    names = [attribute.name for attribute in attributes]
    for name in config.attribute_weights:
        if name not in names and name not in PAPER_ATTRIBUTE_WEIGHTS:
            raise BadOption(
                f"attribute_weights: {name!r} is no attribute of this dataset{did_you_mean(name, names)}; it has "
                f"{', '.join(names)}, and {OTHERS} stands for those not named."
            )
    others = config.attribute_weights.get(OTHERS, 1.0)
    return tuple(config.attribute_weights.get(names[column], others) for column in columns)
