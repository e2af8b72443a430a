"""The types of export.json, the file that makes a directory an export.

made_from          fingerprint of the run
run, family        their names
engine             onnx or openvino
int8               whether the network computes with numbers of 8 bits
photo              height and width of the photos in pixels
outputs            numbers of a photo in every output
operating_point    settings of the scores; empty for those of the classifier alone
temperature        T of the calibration; null if the run is not calibrated
parity             how far the outputs are from those of the run: number and origin of the photos, largest
                   difference, share of the photos with the same best class by output
accuracy           with int8: share of right answers by output, of this graph and of that in float32
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt
from typing_extensions import TypedDict

EXPORT_FILE = "export.json"


class PhotoFile(TypedDict):
    height: Annotated[int, Gt(0)]
    width: Annotated[int, Gt(0)]


class ParityFile(TypedDict):
    photos: Annotated[int, Gt(0)]
    origin: str
    largest_difference: Annotated[float, Ge(0)]
    same_best: dict[str, float]


class AccuracyFile(TypedDict):
    photos: Annotated[int, Gt(0)]
    float32: dict[str, float]
    int8: dict[str, float]


class MadeFromFile(TypedDict):
    run: str


class ExportFile(TypedDict):
    fingerprint: str
    made_from: MadeFromFile
    run: str
    family: str
    engine: Literal["onnx", "openvino"]
    int8: bool
    photo: PhotoFile
    outputs: dict[str, list[int]]
    operating_point: dict[str, Any]
    temperature: float | None
    parity: ParityFile
    accuracy: NotRequired[AccuracyFile]
