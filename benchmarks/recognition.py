"""prodrec's default against timm, Ultralytics and AutoGluon: the same photos, splits, weights and time.

    python benchmarks/recognition.py DATASET WEIGHTS --timm-python ENV/bin/python \\
        --ultralytics-python ENV/bin/python --autogluon-python ENV/bin/python [--minutes 10] [--seeds 0,1,2]
    python benchmarks/recognition.py DATASET WEIGHTS --most-photos 2000 --minutes 1 --seeds 0        # a quick try

DATASET is a dataset of photos, made by `prodrec prepare`; WEIGHTS a file of torchvision's mobilenet_v2 pretrained on
ImageNet. Each peer runs in a virtual environment of its own; a peer without an interpreter is skipped.

All figures are of test photos and are computed by one function, from files of predicted classes. The tables are in
OUT/tables.md and OUT/results.json. Finished parts are kept: after an interruption, run the same line again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers import tables
from peers.export_photos import export_photos, export_table
from peers.measure import measure
from peers.measured_process import CommandFailed
from peers.parts import ARMS, Comparison, predictions_file, run_part

import prodrec
from prodrec.core.data.dataset import open_dataset

LIBRARIES = {"timm": "timm", "ultralytics": "ultralytics", "autogluon": "autogluon.multimodal"}
"""The distribution of each peer, whose version is reported."""


def main() -> None:
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = options.dataset
    if options.most_photos:
        folder = options.out / f"subset-{options.most_photos}"
        dataset = prepare_subset(options.dataset, folder, most_photos=options.most_photos)
    interpreters = {name: path for name in LIBRARIES if (path := getattr(options, f"{name}_python"))}
    comparison = Comparison(
        dataset=dataset.resolve(),
        photos=(options.out / "photos").resolve(),
        weights=options.weights.resolve(),
        out=options.out.resolve(),
        minutes=options.minutes,
        image_size=options.image_size,
        workers=options.workers,
        interpreters=interpreters,
        autogluon_epochs=options.autogluon_epochs,
    )
    facts = check_facts(comparison)
    export_photos(dataset, comparison.photos)
    arms = [name for name in options.arms.split(",") if ARMS[name].library in (*interpreters, "prodrec")]
    skipped = [name for name in options.arms.split(",") if name not in arms]
    for name in skipped:
        print(f"{name}: skipped, because --{ARMS[name].library}-python is not given", flush=True)
    facts["versions"] = {name: version_of(LIBRARIES[name], path) for name, path in interpreters.items()}
    failed = []
    for seed in options.seeds.split(","):
        for name in arms:
            print(f"{name}, seed {seed}", flush=True)
            try:
                run_part(comparison, name, int(seed))
            except CommandFailed as error:
                print(f"{name}, seed {seed}: {error}", flush=True)
                failed.append(f"{name}, seed {seed}")
            write_tables(comparison, facts, skipped=skipped, failed=failed)
    print((comparison.out / "tables.md").read_text("utf-8"))
    sys.exit(1 if failed else 0)


def read_options() -> argparse.Namespace:
    """Read the command line. Exit if an arm is unknown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="dataset of photos, made by `prodrec prepare`")
    parser.add_argument("weights", type=Path, help="pretrained weights of torchvision's mobilenet_v2")
    for name in LIBRARIES:
        parser.add_argument(f"--{name}-python", help=f"Python interpreter that has {name}")
    parser.add_argument("--arms", default=",".join(ARMS), help=f"any of {', '.join(ARMS)}; all by default")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated seeds (0,1,2)")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of each training (10)")
    parser.add_argument("--image-size", type=int, default=96, help="side of the peers' photos, a multiple of 32 (96)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that load the peers' photos")
    parser.add_argument("--autogluon-epochs", type=int, help="epochs of AutoGluon's schedule (its default: 20)")
    parser.add_argument("--most-photos", type=int, help="draw this many photos from the dataset; for a quick try")
    parser.add_argument("--out", type=Path, default=Path("recognition"), help="folder for all results (recognition)")
    options = parser.parse_args()
    if unknown := set(options.arms.split(",")) - ARMS.keys():
        parser.error(f"--arms: there is no {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}.")
    if options.image_size % 32:
        parser.error(f"--image-size {options.image_size}: expected a multiple of 32; Ultralytics takes no other.")
    return options


def prepare_subset(dataset: Path, out: Path, *, most_photos: int) -> Path:
    """Prepare a dataset of some of the photos of another one, with the same splits, and return its directory."""
    if not (out / "dataset").exists():
        table = export_table(dataset, out, most_photos=most_photos)
        prodrec.prepare(
            table,
            images=out / "photos",
            out=out / "dataset",
            levels=("leaf",),
            split_column="split",
            near_duplicates="off",
        )
    return out / "dataset"


def check_facts(comparison: Comparison) -> dict[str, Any]:
    """Return what the parts have in common. Exit if the folder has parts of another comparison."""
    facts = {
        "dataset": open_dataset(comparison.dataset).fingerprint,
        "weights": str(comparison.weights),
        "minutes": comparison.minutes,
        "image_size": comparison.image_size,
        "workers": comparison.workers,
        "autogluon_epochs": comparison.autogluon_epochs,
    }
    file = comparison.out / "comparison.json"
    if file.exists() and (before := json.loads(file.read_text("utf-8"))) != facts:
        different = ", ".join(key for key in facts if facts[key] != before.get(key))
        sys.exit(f"{comparison.out} has results with other values of {different}; give another --out.")
    file.write_text(json.dumps(facts, indent=1), "utf-8")
    return facts


def version_of(distribution: str, interpreter: str) -> str:
    """Return the versions of a peer and of its PyTorch. Exit if the interpreter does not have it."""
    code = f"from importlib.metadata import version as v; print(v({distribution!r}), 'with torch', v('torch'))"
    result = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{interpreter} has no {distribution}: {result.stderr.strip().splitlines()[-1]}")
    return result.stdout.strip()


def write_tables(comparison: Comparison, facts: dict[str, Any], *, skipped: list[str], failed: list[str]) -> None:
    """Write tables.md and results.json of all parts that are finished."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, arm in ARMS.items():
        for folder in sorted((comparison.out / "parts").glob(f"{name}-[0-9]*")):
            for point, row in arm.rows.items():
                file = predictions_file(folder, point)
                if (folder / "train.json").exists() and file.exists():
                    cost = json.loads((folder / "train.json").read_text("utf-8"))
                    seed = {"seed": int(folder.name.rpartition("-")[2])}
                    rows.setdefault(row, []).append({**seed, **measure(file, comparison.photos), **cost})
    results = {**facts, "skipped": skipped, "failed": failed, "rows": rows}
    (comparison.out / "results.json").write_text(json.dumps(results, indent=1), "utf-8")
    (comparison.out / "tables.md").write_text(tables.markdown(results), "utf-8")


if __name__ == "__main__":
    main()
