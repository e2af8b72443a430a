"""Every kind of network becomes a graph, in which any number of photos have the outputs that they have in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prodrec.core.base.engine_names import ONNX, OPENVINO
from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.fold_batch_norms import fold_batch_norms
from prodrec.inference.export.engines import open_engine
from prodrec.inference.export.graphs import CompleteGraph, FeatureGraph
from prodrec.inference.export.parity import TOLERANCE, difference_of
from prodrec.inference.export.write_onnx import write_onnx
from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.models.assemble import build_network
from prodrec.models.backbone_source import library_of
from prodrec.models.families import make_recipe

pytestmark = pytest.mark.usefixtures("export_libraries")

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("shoes", "bags"), ("boots", "sandals", "clogs", "totes", "satchels")),  # type: ignore[arg-type]
    parents=(np.full(2, -1, np.int32), np.array([0, 0, 0, 1, 1], np.int32)),
)
ATTRIBUTES = (Attribute("colour", ("red", "green", "blue")), Attribute("sleeve length", ("long", "short")))
KINDS = [
    ("ssmtl-ca", {"backbone": "squeezenet1_1", "heads": "root,leaf,attributes", "classifier_form": "cosine"}),
    ("visual", {"backbone": "mobilenet_v2"}),
    ("visual", {"backbone": "mobilenet_v3_small", "embed": "24"}),
    ("visual", {"backbone": "vit_b_16", "image_size": "224"}),
    ("visual", {"backbone": "efficientnet_b0"}),
    ("visual", {"backbone": "timm:test_vit"}),
    ("visual", {"backbone": "timm:test_convnext"}),
    ("sicot", {"backbone": "shufflenet_v2_x0_5", "word_vectors": "random"}),
    ("words", {"backbone": "resnet18"}),
    ("sscnn", {"backbone": "resnet18", "attention_at": "layer2"}),
    ("bmtl-ca", {"backbone": "squeezenet1_1", "heads": "attributes"}),
    ("bcnn", {"backbone": "alexnet", "heads": "levels"}),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("family", "settings"),
    KINDS,
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else value,
)
def test_a_graph_has_the_outputs_of_torch(family: str, settings: dict[str, str], tmp_path: Path) -> None:
    if library := library_of(settings["backbone"]):
        pytest.importorskip(library)
    torch.manual_seed(0)
    recipe = make_recipe(family, {"weights": "none", "image_size": "64", **settings})
    size = (recipe.photos.height, recipe.photos.width)
    network = build_network(
        recipe.network,
        taxonomy=TREE,
        attributes=ATTRIBUTES,
        words=12,
        word_targets=_word_targets() if family == "words" else None,
        train_images={"root": np.array([21, 2]), "leaf": np.array([9, 7, 5, 2, 0])},
        photo_size=size,
    )
    photos_BCHW = torch.randint(0, 256, (5, 3, *size), dtype=torch.uint8)
    network.train()
    with torch.no_grad():  # batch norms get the statistics of photos, without which deep features vanish
        for _ in range(20):
            network((photos_BCHW.float() - 120) / 60)
    network.eval()
    fold_batch_norms(network)
    graph = CompleteGraph(
        network,
        recipe.photos,
        taxonomy=TREE,
        attributes=ATTRIBUTES,
        deepest=network.level_heads[-1].level if network.level_heads else None,
        point=OperatingPoint("natural", tau=0.5),
        temperature=1.3,
        vote=None,
    ).eval()
    shapes = write_onnx(graph, tmp_path / "model.onnx", height=size[0], width=size[1])
    for kind in (ONNX, OPENVINO):
        engine = open_engine(kind, tmp_path / "model.onnx", threads=1)
        for batch_BCHW in (photos_BCHW, photos_BCHW[:1]):
            with torch.no_grad():
                expected = graph.named_outputs(batch_BCHW)
            found = engine.run(batch_BCHW.numpy())
            assert list(found) == list(expected) == list(shapes)
            for name, values in expected.items():
                assert found[name].shape == values.shape == (len(batch_BCHW), *shapes[name])
                assert difference_of(name, found[name], values.numpy()) < TOLERANCE, (kind, name)


def _word_targets() -> object:
    from prodrec.models.word_targets import WordTargets

    return WordTargets(np.array([-1, 0, 1, -1, 2, 3, *[-1] * 7]), np.array([1, 1, 2, 1], np.float32))


class Unexportable(torch.nn.Module):
    """A network whose result depends on a number that is known only at run time."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs if float(inputs.sum()) > 0 else -inputs


@pytest.mark.exhaustive
def test_a_network_that_torch_cannot_export_is_one_sentence(tmp_path: Path) -> None:
    class Graph(FeatureGraph):
        def named_outputs(self, photos_BCHW: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"feature": self.features(photos_BCHW)}

    graph = Graph(Unexportable(), PhotoConfig(image_size="8"))  # type: ignore[arg-type]
    with pytest.raises(ProdrecError, match=r"cannot be exported to ONNX by torch .*; use it with") as failed:
        write_onnx(graph.eval(), tmp_path / "model.onnx", height=8, width=8)
    assert "\n" not in str(failed.value) and not list(tmp_path.iterdir())
