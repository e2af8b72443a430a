"""prodrec: recognise products in photos when classes are many, long-tailed and come with side information.

The functions here have the names and defaults of the commands:

    import prodrec

    dataset = prodrec.prepare("products.csv", images="photos/")
    run = prodrec.train("sicot")
    prodrec.score()
    print(prodrec.report(by_head_tail=True))
    print(prodrec.load("sicot").predict("shoe.jpg"))

They are imported when they are first used, so `import prodrec` takes milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prodrec.pipeline.add_classes import add_classes as add_classes
    from prodrec.pipeline.audit import audit as audit
    from prodrec.pipeline.borrow_titles import borrow_titles as borrow_titles
    from prodrec.pipeline.compare import compare as compare
    from prodrec.pipeline.export import export as export
    from prodrec.pipeline.import_scores import import_scores as import_scores
    from prodrec.pipeline.load import load as load
    from prodrec.pipeline.load_index import load_index as load_index
    from prodrec.pipeline.neighbours import neighbours as neighbours
    from prodrec.pipeline.prepare import prepare as prepare
    from prodrec.pipeline.pretrain_embeddings import pretrain_embeddings as pretrain_embeddings
    from prodrec.pipeline.refine_mcr import refine_mcr as refine_mcr
    from prodrec.pipeline.report import report as report
    from prodrec.pipeline.retrain_head import retrain_head as retrain_head
    from prodrec.pipeline.score import score as score
    from prodrec.pipeline.train import train as train
    from prodrec.pipeline.uv import uv as uv

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "add_classes",
    "audit",
    "borrow_titles",
    "compare",
    "export",
    "import_scores",
    "load",
    "load_index",
    "neighbours",
    "prepare",
    "pretrain_embeddings",
    "refine_mcr",
    "report",
    "retrain_head",
    "score",
    "train",
    "uv",
]


def __getattr__(name: str) -> Any:
    """Import a function from the module of `prodrec.pipeline` that has its name (PEP 562)."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module 'prodrec' has no attribute {name!r}")
    function = getattr(importlib.import_module(f"prodrec.pipeline.{name}"), name)
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted(__all__)
