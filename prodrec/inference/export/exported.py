"""An export that is opened again, to run it by `--engine`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodrec.core.base.artefact import read_json_artefact
from prodrec.core.base.errors import BadArtefact, Mismatch
from prodrec.inference.export.engines import GRAPH_FILES
from prodrec.inference.export.export_file import ExportFile
from prodrec.inference.export.server_files import VERSION

INT8 = "int8"


@dataclass(frozen=True)
class Exported:
    """An opened export.

    header: content of export.json
    """

    path: Path
    header: dict[str, Any]

    @property
    def kind(self) -> str:
        """The engine that the graph is for."""
        return str(self.header["engine"])

    @property
    def engine_name(self) -> str:
        """The name of the engine in scores files: `openvino`, or `openvino-int8`."""
        return f"{self.kind}-{INT8}" if self.header["int8"] else self.kind

    @property
    def graph(self) -> Path:
        """The file of the graph."""
        return self.path / VERSION / GRAPH_FILES[self.kind]


def open_export(path: Path, *, run_path: Path, run_fingerprint: str) -> Exported:
    """Open an export of a run.

    Raise NotFound if the directory does not exist, BadArtefact if it is no export or damaged, Mismatch if it is that of
    another run.
    """
    exported = Exported(path, read_json_artefact(path, kind="export", schema=ExportFile))
    if exported.header["made_from"]["run"] != run_fingerprint:
        raise Mismatch(
            f"{path} is the export of another run ({exported.header['run']}) than {run_path} as it is now; export it "
            f"with `prodrec export {run_path} --to {exported.kind}`."
        )
    if not exported.graph.is_file():
        raise BadArtefact(f"{path} is incomplete: it has no {exported.graph.relative_to(path)}; export the run again.")
    return exported
