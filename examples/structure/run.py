"""The experiments of paper S on any prepared catalogue, in one command.

    python examples/structure/run.py DATASET --config examples/structure/fashion.toml --set weights=FILE --out structure

Makes a full and a core dataset (§4.1: core has the photos with attribute labels), trains the eight approaches of
table 1, the attributes one by one (table 2) and the combination with titles, refines by MCR, and writes the tables,
fig. 5 and every figure as JSON to --out. Whatever is finished is kept: run the same line again after an interruption.

Every step is a prodrec command; it is printed, and could be typed in the folder that stands before it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import tables

KINDS = ("settings", "attention", "attributes", "titles")
"""Sections of the config: settings of all networks; and of those with attention, with attributes, with titles."""


@dataclass(frozen=True)
class Net:
    """One network to train: its run's name without the seed, family, and the sections and settings that it takes."""

    name: str
    family: str
    kinds: tuple[str, ...] = ("settings",)
    settings: Mapping[str, str] = field(default_factory=dict)


def networks(levels: Sequence[str], attributes: Sequence[str], *, core: bool) -> list[Net]:
    """All networks of one dataset; the attributes one by one on the core dataset only (table 2)."""
    plain, attended = ("settings",), ("settings", "attention")
    found = [Net("bcnn", "bcnn", plain), Net("sscnn", "sscnn", attended)]
    for level in levels[:-1]:
        found.append(Net(f"bcnn-{level}", "bcnn", plain, {"heads": level}))
        found.append(Net(f"sscnn-{level}", "sscnn", attended, {"heads": level}))
    if len(levels) > 1:
        found += [Net("bmtl-rl", "bmtl-rl", plain), Net("ssmtl-rl", "ssmtl-rl", attended)]
    found.append(Net("bmtl-ca", "bmtl-ca", (*plain, "attributes")))
    found.append(Net("ssmtl-ca", "ssmtl-ca", (*attended, "attributes")))
    found.append(Net(tables.TITLES, "ssmtl-ca", KINDS))
    if core:
        found += [
            Net(tables.run_of(name), "ssmtl-ca", (*attended, "attributes"), {"attributes": name}) for name in attributes
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="dataset made by `prodrec prepare`, with levels and attributes")
    parser.add_argument("--config", type=Path, required=True, help="TOML with sections " + ", ".join(KINDS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all networks")
    parser.add_argument("--seeds", default="0,1", help="seeds with commas between them (0,1)")
    parser.add_argument(
        "--hide", type=float, default=0.0, help="share of photos whose attribute labels are hidden first"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side (1)")
    parser.add_argument("--out", type=Path, default=Path("structure"), help="where everything is written (structure)")
    options = parser.parse_args()
    with options.config.open("rb") as file:
        config: dict[str, dict[str, Any]] = tomllib.load(file)
    config.setdefault("settings", {}).update(pair.split("=", 1) for pair in options.set)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    options.out.mkdir(parents=True, exist_ok=True)
    check(options)
    make_datasets(options.dataset, options.out, hide=options.hide)
    for seed in seeds:
        for name in ("full", "core"):
            experiment(options.out / name, config, seed, core=name == "core", jobs=options.jobs)
            tables.write(options.out)


def check(options: argparse.Namespace) -> None:
    """End with one sentence where the dataset cannot be used, or where --out was begun from another one."""
    place = options.dataset / "dataset.json"
    if not place.is_file():
        sys.exit(f"{options.dataset} is no prepared dataset; make one with `prodrec prepare`.")
    about = json.loads(place.read_text("utf-8"))
    if not about["attributes"]:
        sys.exit(f"{options.dataset} has no attributes, which tables 1 and 2 are about; prepare it with --attributes.")
    begun, now = options.out / "begun.json", {"dataset": about["fingerprint"], "hide": options.hide}
    if begun.exists() and json.loads(begun.read_text("utf-8")) != now:
        sys.exit(f"{options.out} was begun with another dataset or --hide: give another --out.")
    begun.write_text(json.dumps(now), "utf-8")


def make_datasets(dataset: Path, out: Path, *, hide: float) -> None:
    """out/full and out/core from a prepared dataset, with its own split.

    hide: this share of the photos, drawn at random, loses its attribute labels in full and is absent from core. In the
    paper 47 % of the photos have none; a catalogue that labels every photo has no other difference to show.
    """
    import numpy as np
    import polars as pl

    from prodrec.core.data.dataset import open_dataset

    if all((out / name / "dataset").exists() for name in ("full", "core")):
        return
    data = open_dataset(dataset)
    levels, attributes = list(data.taxonomy.levels), [attribute.name for attribute in data.attributes]
    columns = ["id", "title", "split", *(f"level_{name}" for name in levels), *(f"attribute_{a}" for a in attributes)]
    frame = data.products().select("row", *columns)
    frame.columns = ["image", "id", "title", "split", *levels, *attributes]
    hidden = pl.Series(np.random.default_rng(0).random(len(frame)) < hide)
    frame = frame.with_columns(pl.when(~hidden).then(pl.col(name)).alias(name) for name in attributes)
    labelled = ~frame.select(pl.all_horizontal(pl.col(name).is_null() for name in attributes)).to_series()
    for name, part in (("full", frame), ("core", frame.filter(labelled))):
        place = out / name
        if (place / "dataset").exists():
            continue
        place.mkdir(exist_ok=True)
        with tarfile.open(place / "photos.tar", "w") as tar:
            for row in part["image"]:
                photo = data.photos.read(row)
                entry = tarfile.TarInfo(str(row))
                entry.size = len(photo)
                tar.addfile(entry, io.BytesIO(photo))
        part.with_columns(pl.col("image").cast(str)).write_csv(place / "products.csv")
        named = ["--levels", ",".join(levels), "--attributes", ",".join(attributes)]
        prodrec(place, "prepare", "products.csv", "--images", "photos.tar", "--split-column", "split", *named)
        (place / "photos.tar").unlink()


def experiment(place: Path, config: Mapping[str, Mapping[str, Any]], seed: int, *, core: bool, jobs: int) -> None:
    """Train, score and refine all networks of one dataset and seed."""
    about = json.loads((place / "dataset" / "dataset.json").read_text("utf-8"))
    levels = [level["name"] for level in about["taxonomy"]["levels"]]
    nets = networks(levels, [attribute["name"] for attribute in about["attributes"]], core=core)
    if not (place / "dataset" / "embeddings.h5").exists():
        prodrec(place, "pretrain-embeddings", "dataset", "--deterministic")

    def train(net: Net) -> None:
        values = {key: value for kind in net.kinds for key, value in config.get(kind, {}).items()}
        pairs = {**values, **net.settings, "seed": seed}
        changes = [f"--set={key}={as_text(value)}" for key, value in pairs.items()]
        out = f"runs/{net.name}-{seed}"
        if not (place / "scores" / f"{net.name}-{seed}.h5").exists():
            prodrec(place, "train", net.family, "dataset", "--out", out, "--resume", *changes, threads=jobs)
            prodrec(place, "score", out, "dataset", threads=jobs)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(train, nets))
    for family in ("bcnn", "sscnn") if len(levels) > 1 else ():
        files = [f"scores/{family}-{level}-{seed}.h5" for level in levels[:-1]] + [f"scores/{family}-{seed}.h5"]
        out = f"scores/{family}-mcr-{seed}.h5"
        if not (place / out).exists():
            prodrec(place, "refine-mcr", *files, "--out", out)


def as_text(value: Any) -> str:
    """A TOML value as --set takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    if isinstance(value, dict):
        return ",".join(f"{key}:{as_text(item)}" for key, item in value.items())
    return str(value)


said = threading.Lock()


def prodrec(place: Path, *arguments: str, threads: int = 1) -> None:
    """Run a prodrec command in folder `place`; its output goes to place/log.txt. Ends everything where it fails."""
    command = [sys.executable, "-m", "prodrec", *arguments]
    with said:
        print(f"{place}$ prodrec {' '.join(arguments)}", flush=True)
    cores = max(1, (os.cpu_count() or 1) // threads)
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores)}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    with said, (place / "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"$ prodrec {' '.join(arguments)}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        sys.exit(f"{place}$ prodrec {' '.join(arguments)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
