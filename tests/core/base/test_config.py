"""Settings: conversion of values, errors with the most similar key, and text that `--set` accepts."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from prodrec.core.base.config import (
    check_ranges,
    describe,
    format_value,
    from_dict,
    mapping_keys,
    override,
    parse_assignments,
    read_toml,
    setting,
)
from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.config import TrainingConfig
from prodrec.models.families import FAMILIES, make_recipe
from prodrec.models.network_config import NetworkConfig

PARTS = (NetworkConfig, TrainingConfig, PhotoConfig)


@dataclass(frozen=True)
class Net:
    width: int | None = setting(None, "width of the layer; none is the backbone's")
    start: str | None = setting("imagenet", "where weights come from")
    kind: Literal["mean", "max"] | None = setting("mean", "how words are combined")
    after: Literal["none", "tanh"] = setting("none", "what follows")

    def __post_init__(self) -> None:
        if self.after != "none" and self.kind is None:
            raise ValueError(f"after={self.after} does nothing without kind; set kind=mean too.")


@dataclass(frozen=True)
class Schedule:
    lr: float = setting(0.1, "learning rate")
    steps: int = setting(10, "how many")
    mirror: bool = setting(True, "whether to mirror")
    area: tuple[float, float] = setting((0.5, 1.0), "smallest and largest share")
    size: str = setting("224", "a side or height x width")
    weights: Mapping[str, float] = setting({"others": 1.0}, "weight by name")


def changed(**values: Any) -> dict[str, Any]:
    """Return the settings that differ from the defaults after the change."""
    before, after = [Net(), Schedule()], override([Net(), Schedule()], values, source="--set")
    both = zip(before, after, strict=True)
    return {
        field.name: getattr(b, field.name)
        for a, b in both
        for field in dataclasses.fields(a)
        if repr(getattr(a, field.name)) != repr(getattr(b, field.name))
    }


# --- reading values


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lr", "0.05", 0.05),
        ("lr", "1e-3", 0.001),
        ("lr", 1, 1.0),
        ("steps", "20", 20),
        ("steps", 20.0, 20),
        ("mirror", "false", False),
        ("mirror", "no", False),
        ("mirror", "0", False),
        ("mirror", False, False),
        ("area", "0.2,0.9", (0.2, 0.9)),
        ("area", " 0.2 , 0.9 ", (0.2, 0.9)),
        ("area", [0.2, 0.9], (0.2, 0.9)),
        ("width", "128", 128),
        ("start", "none", None),
        ("start", "None", None),
        ("start", None, None),
        ("start", "weights/none.pth", "weights/none.pth"),
        ("kind", "none", None),
        ("kind", "max", "max"),
        ("after", "tanh", "tanh"),
        ("size", "96x80", "96x80"),
        ("size", 96, "96"),
        ("weights", "colour:0.5", {"others": 1.0, "colour": 0.5}),
        ("weights", " sleeve length : 0.3 ,others:2", {"others": 2.0, "sleeve length": 0.3}),
        ("weights", {"a:b": 1}, {"others": 1.0, "a:b": 1.0}),
    ],
)
def test_values_are_converted_to_the_type_of_the_setting(key: str, text: Any, value: Any) -> None:
    assert changed(**{key: text}) == {key: value}
    assert type(changed(**{key: text})[key]) is type(value)


def test_none_can_be_one_of_the_texts_to_choose_from() -> None:
    assert override([Net(after="tanh")], {"after": "none"}, source="--set")[0].after == "none"


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("lr", "fast", "valid number"),
        ("lr", "none", "valid number"),
        ("lr", "nan", "finite"),
        ("lr", "inf", "finite"),
        ("lr", True, "valid number"),
        ("steps", "2.5", "valid integer"),
        ("steps", "", "valid integer"),
        ("steps", True, "valid integer"),
        ("mirror", "maybe", "valid boolean"),
        ("area", "0.2", "expected 2 values with commas between them"),
        ("area", "0.2,0.5,1", "expected 2 values with commas between them"),
        ("area", 0.2, "expected 2 values with commas between them"),
        ("area", "a,b", "valid number"),
        ("kind", "mena", "'mean' or 'max'"),
        ("after", "relu", "'none' or 'tanh'"),
        ("size", [96, 80], "valid string"),
        ("weights", "colour", "expected name:number, with commas between them"),
        ("weights", ":1", "expected name:number"),
        ("weights", "colour:much", "valid number"),
    ],
)
def test_values_of_another_type_are_refused_with_the_key(key: str, text: Any, expected: str) -> None:
    with pytest.raises(BadOption) as caught:
        override([Net(), Schedule()], {key: text}, source="shop.toml")
    message = str(caught.value)
    assert message.startswith(f"shop.toml: {key}=") and expected in message and message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "similar"), [("xyzzy", None), ("LR", "lr"), ("stpes", "steps"), ("Mirror", "mirror"), ("with", "width")]
)
def test_an_unknown_key_is_refused_with_the_most_similar_one(key: str, similar: str | None) -> None:
    with pytest.raises(BadOption) as caught:
        override([Net(), Schedule()], {key: "1"}, source="--set")
    hint = f" (did you mean {similar}?)" if similar else ""
    assert str(caught.value) == f"--set: unknown key {key!r}{hint}; `--settings` lists all keys."


def test_contradictions_are_refused_after_all_changes() -> None:
    with pytest.raises(BadOption, match=r"--set: after=tanh does nothing without kind; set kind=mean too\."):
        override([Net(kind=None), Schedule()], {"after": "tanh"}, source="--set")
    assert override([Net(kind=None)], {"after": "tanh", "kind": "max"}, source="--set") == [
        Net(kind="max", after="tanh")
    ]


def test_errors_name_the_source_of_each_value() -> None:
    source = {"after": "shop.toml", "steps": "--set"}
    with pytest.raises(BadOption, match=r"^--set: steps=few"):
        override([Net(), Schedule()], {"after": "tanh", "steps": "few"}, source=source)
    with pytest.raises(BadOption, match=r"^shop\.toml and --set: after=tanh does nothing"):
        override([Net(kind=None), Schedule()], {"after": "tanh", "steps": 3}, source=source)


def test_other_settings_stay_and_nothing_is_changed_in_place() -> None:
    net, schedule = Net(width=3), Schedule(lr=0.7)
    assert override([net, schedule], {"steps": 5}, source="") == [Net(width=3), Schedule(lr=0.7, steps=5)]
    assert (net, schedule) == (Net(width=3), Schedule(lr=0.7))


# --- bounds of values


@dataclass(frozen=True)
class Bounded:
    rate: float = setting(0.1, "learning rate", gt=0)
    norm: float | None = setting(None, "largest norm", gt=0)
    steps: int = setting(10, "number of steps", ge=1)
    share: float = setting(0.0, "share", ge=0, lt=1)
    quality: int = setting(90, "quality", le=95)
    any: float = setting(0.0, "without bounds")

    def __post_init__(self) -> None:
        check_ranges(self)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("rate", 0.0, "must be greater than 0."),
        ("rate", float("nan"), "must be greater than 0."),
        ("norm", -0.5, "must be greater than 0."),
        ("steps", 0, "must be greater than or equal to 1."),
        ("share", -0.1, "must be greater than or equal to 0."),
        ("share", 1.0, "must be less than 1."),
        ("quality", 96, "must be less than or equal to 95."),
    ],
)
def test_a_value_outside_its_bounds_is_refused(key: str, value: float, expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        Bounded(**{key: value})
    assert str(caught.value) == f"{key}={value} {expected}"
    if value == value:
        with pytest.raises(BadOption) as refused:
            override([Bounded()], {key: value}, source="--set")
        assert str(refused.value) == f"--set: {key}={value} {expected}"


@pytest.mark.parametrize(
    ("key", "value"), [("norm", None), ("steps", 1), ("share", 0.0), ("share", 0.99), ("quality", 95), ("any", -7.0)]
)
def test_a_value_within_its_bounds_is_accepted(key: str, value: float | None) -> None:
    assert getattr(Bounded(**{key: value}), key) == value  # type: ignore[arg-type]


# --- sources of values


def test_assignments() -> None:
    values = parse_assignments(["lr=0.1", " weights = a=b.pth ", "start="])
    assert values == {"lr": "0.1", "weights": "a=b.pth", "start": ""}
    assert parse_assignments(["lr=1", "lr=2"]) == {"lr": "2"}


@pytest.mark.parametrize("wrong", ["lr", "=3", " =3", ""])
def test_text_without_key_or_equals_sign_is_refused(wrong: str) -> None:
    with pytest.raises(BadOption, match="is not of the form key=value"):
        parse_assignments(["lr=1", wrong])


def toml(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "shop.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_tables_of_a_settings_file_only_group_its_keys(tmp_path: Path, mark: bytes) -> None:
    text = b'lr = 0.5\n[network]\nstart = "none"\n[photos]\nsize = 96\narea = [0.1, 1]\nmirror = false\n'
    values = read_toml(toml(tmp_path, mark + text))
    assert values == {"lr": 0.5, "start": "none", "size": 96, "area": [0.1, 1], "mirror": False}
    assert changed(**values) == {"lr": 0.5, "start": None, "size": "96", "area": (0.1, 1.0), "mirror": False}


TABLES = "[head_weights]\nroot = 0.2\n'x,y' = 3", "[network]\nhead_weights = {root = 0.2, 'x,y' = 3}"


@pytest.mark.parametrize("text", TABLES)
def test_a_mapping_may_be_a_table(tmp_path: Path, text: str) -> None:
    usual = make_recipe("bcnn")
    values = read_toml(toml(tmp_path, text), mappings=mapping_keys(usual.parts()))
    assert usual.with_settings(values, source="shop.toml").network.head_weights == {"root": 0.2, "x,y": 3.0}


def test_an_error_shows_a_mapping_as_it_was_written() -> None:
    with pytest.raises(BadOption, match=r"head_weights=root:0\.1,leaf:x is not usable"):
        make_recipe("bcnn", {"head_weights": "root:0.1,leaf:x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr = ", "is not TOML"),
        ("lr: 0.1", "is not TOML"),
        (b"lr = 1 # \xff", "is not TOML"),
        ("[a]\nlr = 1\n[b]\nlr = 2\n", "gives 'lr' twice"),
        ("lr = 1\n[b]\nlr = 2\n", "gives 'lr' twice"),
    ],
)
def test_a_damaged_settings_file_is_refused(tmp_path: Path, text: str | bytes, expected: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(BadOption) as caught:
        read_toml(path)
    assert str(path) in str(caught.value) and expected in str(caught.value) and not str(caught.value).endswith("..")


def test_a_missing_settings_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.toml does not exist"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(BadOption, match="is a directory"):
        read_toml(tmp_path)


# --- all settings


def test_settings_survive_json() -> None:
    net, schedule = Net(width=7, start=None), Schedule(area=(0.2, 0.3), size="96x80")
    for part in (net, schedule):
        assert from_dict(type(part), json.loads(json.dumps(dataclasses.asdict(part))), source="run.json") == part
    with pytest.raises(BadOption, match=r"run\.json: unknown key 'widht' \(did you mean width\?\)"):
        from_dict(Net, {"widht": 7}, source="run.json")


def test_a_renamed_setting_is_refused_with_its_new_key_but_read_from_older_runs() -> None:
    with pytest.raises(BadOption, match=r"^--set: the setting 'fused' is now called fused_update; rename it\.$"):
        override([TrainingConfig()], {"fused": "no"}, source="--set")
    values = dataclasses.asdict(TrainingConfig(fused_update="no"))
    of_older_run = {"fused" if key == "fused_update" else key: value for key, value in values.items()}
    assert from_dict(TrainingConfig, of_older_run, source="run.json") == TrainingConfig(fused_update="no")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_default_is_shown_as_text_that_sets_it(family: str) -> None:
    """The values that `--settings` prints change nothing when they are passed to `--set`."""
    usual = make_recipe(family)
    described = describe(usual.parts())
    assert make_recipe(family, {row.key: row.value for row in described}) == usual
    assert {row.key for row in described} == {f.name for part in PARTS for f in dataclasses.fields(part)}


UNUSUAL = {
    "backbone": "vgg16",
    "weights": None,
    "embed": 64,
    "dropout": 0.25,
    "titles": "bilinear",
    "word_nonlinearity": "none",
    "clip_norm": 1.5,
    "image_size": "96x80",
    "crop_area": (0.123456789012345, 0.9),
    "mean": (0.1, 0.2, 0.3),
    "lr": 1e-7,
    "head_weights": {"root": 0.25, "leaf": 2.0},
    "heads": ("root", "leaf"),
    "seed": 2**40,
    "mirror": False,
}


@pytest.mark.parametrize(("key", "value"), UNUSUAL.items())
def test_unusual_values_are_shown_as_text_that_sets_them(key: str, value: Any) -> None:
    changed = make_recipe("sicot", {key: format_value(value)})
    described = {row.key: row.value for row in describe(changed.parts())}
    (actual,) = [getattr(part, key) for part in changed.parts() if hasattr(part, key)]
    assert actual == value and described[key] == format_value(value)


@pytest.mark.parametrize("part", PARTS)
def test_every_setting_has_a_sentence_and_a_group(part: type) -> None:
    for key, _, meaning, group in describe([part()]):
        assert group and group == group.strip(), f"{key} has no group"
        assert len(meaning.split()) >= 2 and meaning[-1] not in ".;,", f"{key}: {meaning!r}"


def test_no_two_settings_have_one_name() -> None:
    for a, b in itertools.combinations(PARTS, 2):
        assert not {f.name for f in dataclasses.fields(a)} & {f.name for f in dataclasses.fields(b)}
