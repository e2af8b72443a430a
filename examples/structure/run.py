"""The experiments of paper S on any prepared catalogue, in one command.

    python examples/structure/run.py DATASET --config examples/structure/fashion.toml --set weights=FILE --out structure

Makes a full and a core dataset (§4.1: core contains the photos with attribute labels). Trains the eight approaches of
table 1, ssmtl-ca with each single attribute (table 2), and the combination with titles. Refines scores by MCR. Writes
the tables, fig. 5 and every number as JSON to --out. Finished steps are kept: after an interruption, run the same line
again.

Every step is a prodrec command. It is printed after the folder in which it runs, and can be typed there.
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

import tables

SECTIONS = ("settings", "attention", "attributes", "titles")
"""Sections of the config: settings of all networks, and of those with attention, with attributes, with titles."""


@dataclass(frozen=True)
class Network:
    """A network to train: the name of its run without the seed, its family, its config sections and own settings."""

    name: str
    family: str
    sections: tuple[str, ...] = ("settings",)
    settings: Mapping[str, str] = field(default_factory=dict)


def list_networks(levels: Sequence[str], attributes: Sequence[str], *, core: bool) -> list[Network]:
    """Return all networks of one dataset. Networks with a single attribute belong to the core dataset (table 2)."""
    plain, attention = ("settings",), ("settings", "attention")
    networks = [Network("bcnn", "bcnn", plain), Network("sscnn", "sscnn", attention)]
    for level in levels[:-1]:
        networks.append(Network(f"bcnn-{level}", "bcnn", plain, {"heads": level}))
        networks.append(Network(f"sscnn-{level}", "sscnn", attention, {"heads": level}))
    if len(levels) > 1:
        networks += [Network("bmtl-rl", "bmtl-rl", plain), Network("ssmtl-rl", "ssmtl-rl", attention)]
    networks.append(Network("bmtl-ca", "bmtl-ca", (*plain, "attributes")))
    networks.append(Network("ssmtl-ca", "ssmtl-ca", (*attention, "attributes")))
    networks.append(Network(tables.TITLES, "ssmtl-ca", SECTIONS))
    for name in attributes if core else ():
        run = tables.run_of_attribute(name)
        networks.append(Network(run, "ssmtl-ca", (*attention, "attributes"), {"attributes": name}))
    return networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="dataset made by `prodrec prepare`, with levels and attributes")
    parser.add_argument("--config", type=Path, required=True, help="TOML with sections " + ", ".join(SECTIONS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all networks")
    parser.add_argument("--seeds", default="0,1", help="comma-separated seeds (0,1)")
    parser.add_argument("--hide", type=float, default=0.0, help="share of photos whose attribute labels to hide (0)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time (1)")
    parser.add_argument("--out", type=Path, default=Path("structure"), help="folder for all results (structure)")
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
            run_experiment(options.out / name, config, seed, core=name == "core", jobs=options.jobs)
            tables.write(options.out)


def check(options: argparse.Namespace) -> None:
    """Exit with one sentence if the dataset is unsuitable, or if --out belongs to another one."""
    path = options.dataset / "dataset.json"
    if not path.is_file():
        sys.exit(f"{options.dataset} is no prepared dataset; make one with `prodrec prepare`.")
    header = json.loads(path.read_text("utf-8"))
    if not header["attributes"]:
        sys.exit(f"{options.dataset} has no attributes, which tables 1 and 2 need; prepare it with --attributes.")
    if header["inputs"] != "photos":
        sys.exit(f"{options.dataset} has no photos; prepare it with --images.")
    settings_file, settings = options.out / "begun.json", {"dataset": header["fingerprint"], "hide": options.hide}
    if settings_file.exists() and json.loads(settings_file.read_text("utf-8")) != settings:
        sys.exit(f"{options.out} was begun with another dataset or --hide: give another --out.")
    settings_file.write_text(json.dumps(settings), "utf-8")


def make_datasets(dataset: Path, out: Path, *, hide: float) -> None:
    """Make out/full and out/core from a prepared dataset. The split of the dataset is kept.

    hide: share of the photos, drawn at random, that lose their attribute labels in full and are absent from core. In
        the paper, 47 % of the photos have no labels. A catalogue that labels every photo has no other difference
        between full and core.
    """
    import numpy as np
    import polars as pl

    from prodrec.core.data.dataset import open_dataset

    if all((out / name / "dataset").exists() for name in ("full", "core")):
        return
    data = open_dataset(dataset)
    assert data.photos is not None
    levels, attributes = list(data.taxonomy.levels), [attribute.name for attribute in data.attributes]
    columns = ["id", "title", "split", *(f"level_{name}" for name in levels), *(f"attribute_{a}" for a in attributes)]
    full = data.products().select("row", *columns)
    full.columns = ["image", "id", "title", "split", *levels, *attributes]
    hidden = pl.Series(np.random.default_rng(0).random(len(full)) < hide)
    full = full.with_columns(pl.when(~hidden).then(pl.col(name)).alias(name) for name in attributes)
    has_labels = ~full.select(pl.all_horizontal(pl.col(name).is_null() for name in attributes)).to_series()
    for name, products in (("full", full), ("core", full.filter(has_labels))):
        folder = out / name
        if (folder / "dataset").exists():
            continue
        folder.mkdir(exist_ok=True)
        with tarfile.open(folder / "photos.tar", "w") as tar:
            for row in products["image"]:
                photo = data.photos.read(row)
                entry = tarfile.TarInfo(str(row))
                entry.size = len(photo)
                tar.addfile(entry, io.BytesIO(photo))
        products.with_columns(pl.col("image").cast(str)).write_csv(folder / "products.csv")
        column_options = ["--levels", ",".join(levels), "--attributes", ",".join(attributes)]
        prodrec(folder, "prepare", "products.csv", "--images", "photos.tar", "--split-column", "split", *column_options)
        (folder / "photos.tar").unlink()


def run_experiment(folder: Path, config: Mapping[str, Mapping[str, Any]], seed: int, *, core: bool, jobs: int) -> None:
    """Train, score and refine all networks of one dataset and seed."""
    header = json.loads((folder / "dataset" / "dataset.json").read_text("utf-8"))
    levels = [level["name"] for level in header["taxonomy"]["levels"]]
    networks = list_networks(levels, [attribute["name"] for attribute in header["attributes"]], core=core)
    if not (folder / "dataset" / "embeddings.h5").exists():
        prodrec(folder, "pretrain-embeddings", "dataset", "--deterministic")

    def train(network: Network) -> None:
        section_settings = {key: value for name in network.sections for key, value in config.get(name, {}).items()}
        settings = {**section_settings, **network.settings, "seed": seed}
        set_options = [f"--set={key}={as_text(value)}" for key, value in settings.items()]
        out = f"runs/{network.name}-{seed}"
        if not (folder / "scores" / f"{network.name}-{seed}.h5").exists():
            options = ["--preset", "paper", "--out", out, "--auto-resume", *set_options]
            prodrec(folder, "train", network.family, "dataset", *options, jobs=jobs)
            prodrec(folder, "score", out, "dataset", jobs=jobs)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(train, networks))
    for family in ("bcnn", "sscnn") if len(levels) > 1 else ():
        files = [f"scores/{family}-{level}-{seed}.h5" for level in levels[:-1]] + [f"scores/{family}-{seed}.h5"]
        out = f"scores/{family}-mcr-{seed}.h5"
        if not (folder / out).exists():
            prodrec(folder, "refine-mcr", *files, "--out", out)


def as_text(value: Any) -> str:
    """Format a TOML value for --set."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    if isinstance(value, dict):
        return ",".join(f"{key}:{as_text(item)}" for key, item in value.items())
    return str(value)


output_lock = threading.Lock()


def prodrec(folder: Path, *arguments: str, jobs: int = 1) -> None:
    """Run a prodrec command in `folder` and append its output to folder/log.txt. Exit if it fails.

    jobs: commands that run at the same time and share the cores
    """
    command = [sys.executable, "-m", "prodrec", *arguments]
    with output_lock:
        print(f"{folder}$ prodrec {' '.join(arguments)}", flush=True)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    with output_lock, (folder / "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"$ prodrec {' '.join(arguments)}\n{result.stdout}{result.stderr}\n")
    if result.returncode:
        sys.exit(f"{folder}$ prodrec {' '.join(arguments)}\n{result.stdout}{result.stderr}")


if __name__ == "__main__":
    main()
