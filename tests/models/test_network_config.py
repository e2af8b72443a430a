from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from prodrec.core.base.config import override
from prodrec.core.base.errors import BadOption
from prodrec.models.network_config import NetworkConfig
from prodrec.models.settings.titles import ENCODERS_WITH_SETTING


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed": 0}, "embed=0 must be greater than or equal to 1"),
        ({"bilinear_forms": 0, "titles": "bilinear"}, "bilinear_forms=0 must be greater than or equal to 1"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be less than 1"),
        ({"dropout": -0.1}, "dropout=-0.1 must be greater than or equal to 0"),
        ({"logit_adjustment": -1}, "logit_adjustment=-1 must be greater than or equal to 0"),
        ({"sample_share": 1.0}, "sample_share=1.0 must be in (0, 1)"),
        ({"score_buffer": -0.5}, "score_buffer=-0.5 must be greater than or equal to 0"),
        ({"embed_hidden": 64}, "needs embed"),
        ({"train_batch_norm_affine": False}, "needs freeze_batch_norm=true"),
        ({"word_vectors": "random"}, "does nothing without titles"),
        ({"word_dropout": 0.2}, "does nothing without titles"),
        ({"title_loss_weight": 2.0}, "does nothing without titles"),
        ({"titles": "bilinear", "title_loss_weight": 0.0}, "titles=none trains on photos alone"),
        ({"titles": "bilinear", "title_loss_weight": -1.0}, "must be above 0"),
        ({"titles": "bilinear", "semantic_spread": 0.0}, "semantic_spread=0.0 must be greater than 0"),
        ({"titles": "mean", "word_weighting": "softmax"}, "belongs to titles=bilinear, not mean"),
        ({"titles": "bilinear", "lstm_width": 64}, "belongs to titles=bilstm or bilstm-attention, not bilinear"),
        ({"titles": "mean", "word_dimension": 64}, "pretrained ones have their own width"),
        ({"titles": "mean", "heads": ("attributes",)}, "heads=attributes has none; add leaf"),
        ({"attention_at": "layer3"}, "attention_at=layer3 does nothing here; set attention=spatial too"),
        ({"attention_spread": 0.1}, "attention_spread=0.1 does nothing here"),
        ({"attention": "spatial", "attention_spread": 0.0}, "attention_spread=0.0 must be greater than 0"),
        ({"attributes": ("colour",)}, "attributes=colour does nothing here; set heads=leaf,attributes too"),
        ({"attribute_weights": {"colour": 1.0}}, "attribute_weights=colour:1.0 does nothing here"),
        ({"heads": ()}, "heads= must have at least one name"),
        ({"heads": ("leaf", "leaf")}, "and none twice"),
        ({"head_weights": {"leaf": 0.0}}, "head_weights=leaf:0 must be above 0; omit what is not to be trained"),
        ({"class_weights_beta": 0.9}, "class_weights_beta=0.9 does nothing here; set class_weights=effective too"),
        ({"class_weights": "effective", "class_weights_beta": 1.0}, "class_weights_beta=1.0 must be in (0, 1)"),
        ({"class_weights": "inverse", "class_weights_beta": 0.9}, "class_weights_beta=0.9 does nothing here"),
        ({"class_weights_from": 0.8}, "class_weights_from=0.8 does nothing here; set class_weights=effective too"),
        ({"class_weights": "inverse", "class_weights_from": 1.0}, "class_weights_from=1.0 must be less than 1"),
        ({"focal_gamma": -1.0}, "focal_gamma=-1.0 must be greater than or equal to 0"),
        ({"focal_gamma": 2.0, "label_smoothing": 0.1}, "label_smoothing=0.1 spreads the target over all of them"),
        ({"tree_smoothing": 0.0}, "tree_smoothing=0.0 must be greater than 0"),
        ({"tree_smoothing": 9.0, "label_smoothing": 0.1}, "both spread the target over other classes; use one of the"),
        ({"tree_smoothing": 9.0, "focal_gamma": 2.0}, "tree_smoothing=9.0 spreads the target over all of them"),
        (
            {"tree_smoothing": 9.0, "classifier": "sampled"},
            "omits most of them; set classifier=sharded or auto",
        ),
        ({"tree_smoothing": 9.0, "heads": ("attributes",)}, "heads=attributes has none; add leaf"),
        ({"cosine_scale": 16.0}, "cosine_scale=16.0 does nothing here; set classifier_form=cosine too"),
        ({"ldam_margin": 0.5}, "ldam_margin=0.5 does nothing here; set classifier_form=cosine too"),
        ({"classifier_form": "cosine", "ldam_margin": 1.5}, "ldam_margin=1.5 must be less than or equal to 1"),
        ({"heads": ("attributes",), "focal_gamma": 2.0}, "heads=attributes has none; add leaf"),
        ({"classifier_start": "class-titles"}, "classifier_start=class-titles needs the text tower"),
        ({"classifier_start": "class-names"}, "needs the text tower of backbone=open_clip:NAME, not resnet50"),
        (
            {"classifier_start": "class-names", "backbone": "open_clip:RN50", "weights": None},
            "needs trained weights, and weights=none is random",
        ),
        (
            {"classifier_start": "class-names", "backbone": "open_clip:RN50", "embed": 64},
            "of texts with those of photos, which embed would replace; omit it",
        ),
        ({"private_width": -1}, "private_width=-1 must be greater than or equal to 0"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        NetworkConfig(**settings)
    assert message in str(caught.value)


def test_contradictions_come_from_set_as_bad_options() -> None:
    with pytest.raises(BadOption, match=r"--set: word_dropout=0\.5 does nothing without titles"):
        override([NetworkConfig()], {"word_dropout": "0.5"}, source="--set")
    with pytest.raises(BadOption, match="bilinear"):
        override([NetworkConfig()], {"titles": "trilinear"}, source="--set")


def test_none_is_read_as_none() -> None:
    (config,) = override([NetworkConfig()], {"weights": "none", "embed": "None", "titles": "mean"}, source="--set")
    assert config.weights is None and config.embed is None and config.titles == "mean"


def test_every_setting_has_a_meaning_and_a_group() -> None:
    fields = {field.name: field for field in dataclasses.fields(NetworkConfig)}
    assert all(field.metadata["help"] and field.metadata["group"] for field in fields.values())
    assert set(ENCODERS_WITH_SETTING) <= {name for name, field in fields.items() if field.metadata["group"] == "titles"}


@pytest.mark.parametrize(
    "name",
    [
        "title_loss_weight",
        "mixed_trains_backbone",
        "word_vectors",
        "word_dimension",
        "train_word_vectors",
        "bilinear_forms",
        "word_nonlinearity",
        "word_weighting",
        "lstm_width",
        "semantic_spread",
        "word_dropout",
        "title_dropout",
    ],
)
def test_every_setting_of_titles_needs_titles(name: str) -> None:
    unusual = {"mixed_trains_backbone": False, "train_word_vectors": False, "word_vectors": "random"}
    unusual |= {"word_nonlinearity": "relu", "word_weighting": "softmax", "word_dropout": 0.5, "title_dropout": 0.5}
    with pytest.raises(ValueError, match=f"{name}=.* does nothing without titles"):
        NetworkConfig(**{name: unusual.get(name, 7)})  # type: ignore[arg-type]


def test_families_and_settings_need_no_torch() -> None:
    code = "import sys, prodrec.models.families; sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
