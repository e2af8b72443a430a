"""What a network predicts on a catalogue: the words of its settings become levels and attributes. No torch in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption, nearest
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.models.network_config import PAPER_ATTRIBUTE_WEIGHTS, PAPER_HEAD_WEIGHTS, NetworkConfig

OTHERS = "others"


@dataclass(frozen=True)
class Tasks:
    """What a network predicts: levels from the shallowest, with their λ; attributes, their columns and γ_j."""

    levels: tuple[str, ...]
    level_weights: tuple[float, ...]
    attributes: tuple[Attribute, ...] = ()
    columns: tuple[int, ...] = ()
    attribute_weights: tuple[float, ...] = ()
    branch_weight: float = 1.0


def choose_tasks(config: NetworkConfig, taxonomy: Taxonomy, attributes: Sequence[Attribute]) -> Tasks:
    """The tasks that `heads`, `attributes` and their weights name on this catalogue. Raises BadOption."""
    words = _words(taxonomy)
    levels: set[str] = set()
    for word in config.heads:
        if word not in words and word != "attributes":
            raise BadOption(
                f"heads={','.join(config.heads)}: the catalogue has no level {word!r}{nearest(word, words)}; "
                f"its levels are {', '.join(taxonomy.levels)}."
            )
        levels.update(words.get(word, ()))
    if {"root", "leaf"} <= set(config.heads) and words["root"] == words["leaf"]:
        raise BadOption(f"heads={','.join(config.heads)}: the classes have one level only ({taxonomy.leaf_level}).")
    chosen = tuple(level for level in taxonomy.levels if level in levels)
    general = ("levels", "root", "leaf")  # a level's own name wins over these, and root and leaf win over all levels
    by_word = sorted(config.head_weights.items(), key=lambda item: general.index(item[0]) if item[0] in general else 3)
    named = {level: weight for word, weight in by_word for level in words.get(word, ())}
    for word in config.head_weights:
        there = word in config.heads if word == "attributes" else bool(set(words.get(word, ())) & levels)
        if not there and word not in PAPER_HEAD_WEIGHTS:
            heads = [*chosen, *(["attributes"] if "attributes" in config.heads else [])]
            raise BadOption(f"head_weights: there is no head {word!r}; this network has {', '.join(heads)}.")
    weights = tuple(named.get(level, 1.0) for level in chosen)
    if "attributes" not in config.heads:
        return Tasks(chosen, weights)
    columns = _columns(config, attributes)
    names = [attributes[column].name for column in columns]
    known = [attribute.name for attribute in attributes]
    for name in config.attribute_weights:
        if name not in known and name not in PAPER_ATTRIBUTE_WEIGHTS:
            raise BadOption(
                f"attribute_weights: {name!r} is no attribute of this dataset{nearest(name, known)}; it has "
                f"{', '.join(known)}, and {OTHERS} stands for those not named."
            )
    others = config.attribute_weights.get(OTHERS, 1.0)
    return Tasks(
        chosen,
        weights,
        attributes=tuple(attributes[column] for column in columns),
        columns=columns,
        attribute_weights=tuple(config.attribute_weights.get(name, others) for name in names),
        branch_weight=config.head_weights.get("attributes", 1.0),
    )


def _words(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """What a word of `heads` stands for; a level's own name comes before the words that every catalogue knows."""
    general = {"root": taxonomy.levels[:1], "leaf": taxonomy.levels[-1:], "levels": taxonomy.levels}
    return {**general, **{level: (level,) for level in taxonomy.levels}}


def _columns(config: NetworkConfig, attributes: Sequence[Attribute]) -> tuple[int, ...]:
    """Numbers of the attributes to predict."""
    names = [attribute.name for attribute in attributes]
    if not names:
        raise BadOption("heads has attributes, and this dataset has none; prepare it with --attributes.")
    if config.attributes == ("all",):
        return tuple(range(len(names)))
    for name in config.attributes:
        if name not in names:
            raise BadOption(
                f"attributes={','.join(config.attributes)}: {name!r} is no attribute of this dataset"
                f"{nearest(name, names)}; it has {', '.join(names)}."
            )
    return tuple(i for i, name in enumerate(names) if name in config.attributes)
