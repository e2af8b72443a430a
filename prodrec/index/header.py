"""The header of an index: index.json, and the arrays that make vectors of features.

Shapes: D numbers of a feature, d of a vector.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import JSON_FILES, Fingerprint, make_header, read_json_artefact
from prodrec.core.base.outputs import write_json
from prodrec.index.index_file import IndexFile
from prodrec.index.lance_errors import REMEDY

KIND = "index"
MEAN_FILE, PROJECTION_FILE = "mean.npy", "projection.npy"


@dataclass(frozen=True)
class SearchSettings:
    """How vectors are searched.

    wanted:  one of SEARCHES, as the user chose
    probes:  number of lists that are searched; 0 searches all vectors
    recall:  share of the nearest photos that these lists contain, on average; 1 for exact search
    queries: number of photos on which it was measured
    """

    wanted: str = "auto"
    probes: int = 0
    recall: float = 1.0
    queries: int = 0

    def __str__(self) -> str:
        if not self.probes:
            return "exact"
        found = f"contain {self.recall:.1%} of the nearest photos of {self.queries:,} photos"
        return f"approximate: {self.probes:,} lists {found}"


@dataclass(frozen=True, eq=False)
class IndexHeader:
    """What an index was made from, and how it is used.

    build:       differs for every build, by which a reader notices that the index was made anew
    run_name, run_path: the run; its path is relative to the index
    run_fingerprint, dataset_fingerprint: of the run, and of the dataset from which the index was built
    level:       the level of the classes for which products vote
    width:       d
    splits:      of the dataset, whose photos were indexed
    tokenizer:   name and version of what splits texts into words
    options:     those of `prepare` with which tables are read: their columns, encoding and missing values
    points:      settings of the operating points by way of recognising and name
    calibration: of these points, in the same way
    validation:  accuracies on the validation photos, a row for each point
    projection:  mean [D] and matrix [D, d], float32; None if features are the vectors
    """

    run_name: str
    run_path: str
    run_fingerprint: str
    dataset_fingerprint: str
    level: str
    width: int
    splits: tuple[str, ...]
    options: Mapping[str, Any]
    tokenizer: tuple[str, str] = ("", "")
    points: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    calibration: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    validation: tuple[Mapping[str, Any], ...] = ()
    validation_photos: int = 0
    search: SearchSettings = field(default_factory=SearchSettings)
    projection: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    build: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def fingerprint(self) -> str:
        """Hash of what the vectors and the operating points depend on, without how they are searched."""
        content = Fingerprint().add("made from", self._made_from).add("level", self.level).add("width", self.width)
        content.add("points", {way: dict(points) for way, points in self.points.items()})
        for name, array in zip(("mean", "projection"), self.projection or (), strict=False):
            content.add(name, array)
        return content.hexdigest()

    @property
    def _made_from(self) -> dict[str, str]:
        return {"run": self.run_fingerprint, "dataset": self.dataset_fingerprint}

    def write(self, directory: Path) -> None:
        """Write the arrays, and then index.json."""
        if self.projection is not None:
            for name, array in zip((MEAN_FILE, PROJECTION_FILE), self.projection, strict=True):
                np.save(directory / name, array, allow_pickle=False)
        self.write_json(directory)

    def write_json(self, directory: Path) -> None:
        """Write index.json atomically."""
        header = make_header(KIND, fingerprint=self.fingerprint, made_from=self._made_from)
        content = {
            "build": self.build,
            "run": {"name": self.run_name, "path": self.run_path},
            "level": self.level,
            "width": self.width,
            "splits": list(self.splits),
            "options": dict(self.options),
            "tokenizer": dict(zip(("name", "version"), self.tokenizer, strict=True)),
            "points": self.points,
            "calibration": self.calibration,
            "validation": [dict(row) for row in self.validation],
            "validation_photos": self.validation_photos,
            "search": asdict(self.search),
        }
        write_json(directory / JSON_FILES[KIND], {**header, **content})

    @classmethod
    def read(cls, directory: Path) -> IndexHeader:
        """Read the header of an index. Raise NotFound or BadArtefact."""
        content = read_json_artefact(directory, kind=KIND, schema=IndexFile)
        header = cls(
            run_name=content["run"]["name"],
            run_path=content["run"]["path"],
            run_fingerprint=content["made_from"].get("run", ""),
            dataset_fingerprint=content["made_from"].get("dataset", ""),
            level=content["level"],
            width=content["width"],
            splits=tuple(content["splits"]),
            options=content["options"],
            tokenizer=(content["tokenizer"]["name"], content["tokenizer"]["version"]),
            points=content["points"],
            calibration=content["calibration"],
            validation=tuple(content["validation"]),
            validation_photos=content["validation_photos"],
            search=SearchSettings(**content["search"]),
            build=content["build"],
        )
        if not (directory / PROJECTION_FILE).exists():
            return header
        matrix_Dd = load_array(directory / PROJECTION_FILE, np.float32, (None, header.width), remedy=REMEDY)
        mean_D = load_array(directory / MEAN_FILE, np.float32, (len(matrix_Dd),), remedy=REMEDY)
        return replace(header, projection=(np.array(mean_D), np.array(matrix_Dd)))
