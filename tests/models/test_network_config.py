from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from prodrec.core.base.config import override
from prodrec.core.base.errors import BadOption
from prodrec.models.network_config import ONLY_WITH, TITLE_SETTINGS, NetworkConfig


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"embed": 0}, "embed=0 must be at least 1"),
        ({"bilinear_forms": 0, "titles": "bilinear"}, "bilinear_forms=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be in"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"logit_adjustment": -1}, "logit_adjustment=-1"),
        ({"embed_hidden": 64}, "needs embed"),
        ({"train_batch_norm_affine": False}, "needs freeze_batch_norm=true"),
        ({"word_vectors": "random"}, "does nothing without titles"),
        ({"word_dropout": 0.2}, "does nothing without titles"),
        ({"title_loss_weight": 2.0}, "does nothing without titles"),
        ({"titles": "bilinear", "title_loss_weight": 0.0}, "titles=none trains on photos alone"),
        ({"titles": "bilinear", "title_loss_weight": -1.0}, "must be above 0"),
        ({"titles": "bilinear", "semantic_spread": 0.0}, "semantic_spread=0.0"),
        ({"titles": "mean", "word_weighting": "softmax"}, "belongs to titles=bilinear, not mean"),
        ({"titles": "bilinear", "lstm_width": 64}, "belongs to titles=bilstm or bilstm-attention, not bilinear"),
        ({"titles": "mean", "word_dimension": 64}, "pretrained bring their own"),
        ({"titles": "mean", "heads": ("attributes",)}, "heads=attributes tells none; add leaf"),
        ({"attention_at": "layer3"}, "attention_at=layer3 does nothing here; set attention=spatial too"),
        ({"attention_spread": 0.1}, "attention_spread=0.1 does nothing here"),
        ({"attention": "spatial", "attention_spread": 0.0}, "attention_spread=0.0 must be above 0"),
        ({"attributes": ("colour",)}, "attributes=colour does nothing here; set heads=leaf,attributes too"),
        ({"attribute_weights": {"colour": 1.0}}, "attribute_weights=colour:1.0 does nothing here"),
        ({"heads": ()}, "heads= must name something"),
        ({"heads": ("leaf", "leaf")}, "and nothing twice"),
        ({"head_weights": {"leaf": 0.0}}, "head_weights=leaf:0 must be above 0; leave out what is not to be learnt"),
        ({"private_width": -1}, "private_width=-1 must not be negative"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        NetworkConfig(**settings)
    assert told in str(caught.value)


def test_contradictions_come_from_set_as_bad_options() -> None:
    with pytest.raises(BadOption, match=r"--set: word_dropout=0\.5 does nothing without titles"):
        override([NetworkConfig()], {"word_dropout": "0.5"}, where="--set")
    with pytest.raises(BadOption, match="bilinear"):
        override([NetworkConfig()], {"titles": "trilinear"}, where="--set")


def test_none_is_read_as_none() -> None:
    (config,) = override([NetworkConfig()], {"weights": "none", "embed": "None", "titles": "mean"}, where="--set")
    assert config.weights is None and config.embed is None and config.titles == "mean"


def test_every_setting_has_its_sentence() -> None:
    fields = {field.name: field for field in dataclasses.fields(NetworkConfig)}
    assert all(field.metadata["help"] for field in fields.values())
    assert set(TITLE_SETTINGS) | set(ONLY_WITH) <= set(fields)


def test_families_and_settings_need_no_torch() -> None:
    code = "import sys, prodrec.models.families; sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
