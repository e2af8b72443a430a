"""`prodrec export`: a finished run as a graph that other software runs, checked on photos."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prodrec.core.base import console
from prodrec.core.base.engine_names import ONNX, OPENVINO
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from prodrec.inference.export.graphs import CompleteGraph
    from prodrec.inference.neighbours.fused import PointNetwork
    from prodrec.inference.recognise import Recogniser
    from prodrec.models.network import RecognitionNetwork
    from prodrec.pipeline.export_checks import ExportPhotos

CALIBRATION_PHOTOS = 256
"""Training photos on which the ranges of a graph of 8 bits are recorded."""


@dataclass(frozen=True)
class ExportResult:
    """An export.

    path:   its directory
    header: content of its export.json
    size:   bytes of the files of the graph
    """

    path: Path
    header: dict[str, Any]
    size: int

    def __str__(self) -> str:
        parity, accuracy = self.header["parity"], self.header.get("accuracy", {"int8": ()})
        compared = f"on {parity['photos']} {parity['origin']}: largest difference {parity['largest_difference']:.1e}"
        lines = [
            f"{self.path}: {self.header['engine']}, {self.size / 2**20:,.1f} MiB",
            f"  outputs: {', '.join(self.header['outputs'])}",
            f"  {compared}, the same best classes in {min(parity['same_best'].values()):.1%}",
        ]
        lines += [
            f"  {name}: {accuracy['int8'][name]:.2%} right with 8 bits, {accuracy['float32'][name]:.2%} in float32, on "
            f"{accuracy['photos']:,} validation photos"
            for name in accuracy["int8"]
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec export --json` prints them."""
        return {"export": str(self.path), "bytes": self.size, **self.header}


def export(
    run: str | Path,
    dataset: str | Path | None = None,
    *,
    to: str = ONNX,
    out: str | Path | None = None,
    int8: bool = False,
    operating_point: str | None = None,
    no_neighbours: bool = False,
    force: bool = False,
) -> ExportResult:
    """Write a finished run as a graph for ONNX Runtime or OpenVINO, with its class names, and check it on photos.

    The graph takes photos of the size of the network's input, and returns features, scores at one operating point,
    calibrated probabilities and states of attributes. Its directory is a model of Triton Inference Server and of
    OpenVINO Model Server.

    Args:
        run: run directory, or the name of a run in `runs/`.
        dataset: dataset that the run was trained on, whose validation photos check the export; None is `dataset` if
            the run was trained on it. Without one, drawn photos check it.
        to: onnx or openvino.
        out: directory of the export; by default `exports/NAME-onnx`, `exports/NAME-openvino` and so on.
        int8: let the network compute with numbers of 8 bits, whose ranges are those of training photos. The right
            answers on validation photos are counted with and without. Needs openvino and the dataset.
        operating_point: as in `load`; None is natural.
        no_neighbours: do not let the nearest training photos vote; the graph then contains no training vectors.
        force: replace an export at `out`.

    Raises:
        NotFound: if the run or the dataset does not exist.
        BadArtefact: if the run is unfinished or damaged.
        BadOption: for an unknown `to`, a library that is not installed, a run on feature vectors, more training
            vectors than a graph can have, and `int8` without a dataset or OpenVINO.
        Mismatch: if the dataset is not that of the training.
        OutputExists: if `out` exists and may not be replaced.
        ProdrecError: if torch cannot export the network, or the graph gives other results than the run.
    """
    from prodrec.core.base.outputs import new_directory, refuse_if_taken, write_json
    from prodrec.inference.export.engines import GRAPH_FILES
    from prodrec.inference.export.export_file import EXPORT_FILE
    from prodrec.inference.export.libraries import LIBRARIES, require_libraries
    from prodrec.inference.export.server_files import VERSION, triton_config
    from prodrec.pipeline.export_checks import ExportPhotos
    from prodrec.pipeline.load import load

    if to not in (ONNX, OPENVINO):
        raise BadOption(f"--to {to}: expected {ONNX} or {OPENVINO}.")
    if int8 and to != OPENVINO:
        raise BadOption(f"--int8 is for OpenVINO, and --to is {to}; add --to {OPENVINO}, or omit --int8.")
    require_libraries("onnx", "onnxscript", *LIBRARIES[to], *(["nncf"] if int8 else []))
    recogniser = load(run, operating_point=operating_point, no_neighbours=no_neighbours, device="cpu")
    path = Path("exports") / f"{recogniser.run.name}-{to}{'-int8' * int8}" if out is None else Path(out)
    refuse_if_taken(path, kind="export", force=force)
    photos = ExportPhotos.find(recogniser, dataset, int8=int8)
    graph = complete_graph(recogniser)
    with new_directory(path, kind="export", force=force) as partial:
        (partial / VERSION).mkdir()
        file = partial / VERSION / GRAPH_FILES[to]
        described = _write_checked_graph(graph, file, to, photos, int8=int8)
        size = {"height": recogniser.photos.height, "width": recogniser.photos.width}
        write_json(partial / "labels.json", _labels(recogniser, described["outputs"]))
        config = triton_config(to, **size, outputs=described["outputs"])
        (partial / "config.pbtxt").write_text(config, "utf-8")
        header = _header(recogniser, partial, {"engine": to, "int8": int8, "photo": size, **described})
        write_json(partial / EXPORT_FILE, header)
        graph_bytes = sum(part.stat().st_size for part in file.parent.iterdir())
    return ExportResult(path, header, graph_bytes)


def complete_graph(recogniser: Recogniser) -> CompleteGraph:
    """Return the graph of a loaded run. Raise BadOption for more training vectors than a graph can have."""
    from prodrec.inference.export.graphs import CompleteGraph
    from prodrec.inference.export.vote_graph import MAX_VECTOR_BYTES, VoteGraph

    network = cast("PointNetwork", recogniser.network)
    neighbours, point = network.fused.neighbours, network.point
    vote = None
    if neighbours is not None and point.beta:
        if (size := neighbours.features.vectors_Nd.nbytes) > MAX_VECTOR_BYTES:
            raise BadOption(
                f"{len(neighbours.features):,} training vectors vote, which take {size / 2**20:,.0f} MiB; a graph has "
                f"at most {MAX_VECTOR_BYTES / 2**20:,.0f} MiB of them: add --no-neighbours."
            )
        vote = VoteGraph(neighbours, point)
    exportable = cast("RecognitionNetwork", network.fused.network)
    graph = CompleteGraph(
        exportable,
        recogniser.photos,
        taxonomy=recogniser.run.taxonomy,
        attributes=recogniser.run.attributes,
        deepest=exportable.level_heads[-1].level if exportable.level_heads else None,
        point=point,
        temperature=1.0 if recogniser.calibration is None else recogniser.calibration.temperature,
        vote=vote,
    )
    return graph.eval()


def _write_checked_graph(
    graph: CompleteGraph, file: Path, to: str, photos: ExportPhotos, *, int8: bool
) -> dict[str, Any]:
    """Write the graph to `file`, and return what export.json says about it. Raise ProdrecError if it is not right."""
    import torch

    from prodrec.inference.export.engines import open_engine
    from prodrec.inference.export.openvino_engine import read_model, write_model
    from prodrec.inference.export.quantise import quantise
    from prodrec.inference.export.write_onnx import write_onnx
    from prodrec.pipeline.export_checks import FLOAT32, INT8, compare, count_right, refuse_if_different

    threads = torch.get_num_threads()
    height, width = photos.recogniser.photos.height, photos.recogniser.photos.width
    with tempfile.TemporaryDirectory(dir=file.parent.parent) as scratch:
        onnx_file = file if to == ONNX else Path(scratch) / "float32.onnx"
        console.info(f"making a graph of {photos.recogniser.run.path}")
        outputs = write_onnx(graph, onnx_file, height=height, width=width)
        model = read_model(onnx_file) if to == OPENVINO else None
        if int8:
            console.info("recording the ranges of numbers on training photos")
            training_photos = photos.batches(photos.rows("train"), CALIBRATION_PHOTOS)
            model = quantise(model, (photos_BCHW.numpy() for _, photos_BCHW in training_photos))
        if to == OPENVINO:
            write_model(model, file)
        engine = open_engine(to, file, threads=threads)
        compared = compare(engine, photos)
        described: dict[str, Any] = {"outputs": {name: list(shape) for name, shape in outputs.items()}}
        if int8:
            counted = count_right({FLOAT32: open_engine(to, onnx_file, threads=threads), INT8: engine}, photos)
            counted.refuse_if_lossy()
            shares = {name: counted.shares(name) for name in (FLOAT32, INT8)}
            described["accuracy"] = {"photos": counted.photos, **shares}
        else:
            refuse_if_different(compared)
    described["parity"] = {
        "photos": compared.photos,
        "origin": photos.origin,
        "largest_difference": compared.largest_difference,
        "same_best": compared.same_best_shares,
    }
    return described


def _labels(recogniser: Recogniser, outputs: dict[str, list[int]]) -> dict[str, Any]:
    """Return the content of labels.json."""
    from prodrec.inference.export.server_files import labels

    network = cast("PointNetwork", recogniser.network)
    return labels(
        recogniser.run.taxonomy,
        recogniser.run.attributes,
        recogniser.photos,
        outputs=outputs,
        point=network.point,
        calibration=recogniser.calibration,
    )


def _header(recogniser: Recogniser, folder: Path, described: dict[str, Any]) -> dict[str, Any]:
    """Return the content of export.json for the files in `folder`."""
    import torch

    from prodrec.core.base.artefact import Fingerprint, make_header

    content = Fingerprint()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content.add(str(file.relative_to(folder)), file.read_bytes())
    run, network = recogniser.run, cast("PointNetwork", recogniser.network)
    made_from, fingerprint = {"run": run.fingerprint}, content.hexdigest()
    return {
        **make_header("export", fingerprint=fingerprint, made_from=made_from, torch=torch.__version__),
        "run": run.name,
        "family": run.family,
        **described,
        "operating_point": network.point.as_json(),
        "temperature": None if recogniser.calibration is None else recogniser.calibration.temperature,
    }
