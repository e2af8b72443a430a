"""The layers of the package, checked on its imports: who may import whom, who owns which library, what loads at once.

cli → pipeline → (serve, index, inference, eval, models, demo) → core; inside core: training → data → base: PACKAGES.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "prodrec").rglob("*.py"))
HEAVY = {"torch", "torchvision", "polars", "h5py", "gensim", "scipy", "matplotlib", "pydantic", "timm", "open_clip"}
HEAVY |= {"nncf", "onnx", "onnxruntime", "openvino"}
HEAVY |= {"faiss", "fastapi", "uvicorn", "prometheus_client", "lancedb", "pyarrow"}
LONGEST = 300

PACKAGES = {  # each package, and those that it may import besides itself; a package inside another comes first
    "core.base": (),
    "core.data.tables": ("core.base",),
    "core.data.duplicates": ("core.base",),
    "core.data.photos": ("core.base", "core.data.tables", "core.data.duplicates"),
    "core.data.titles": ("core.base", "core.data"),
    "core.data.prepare": (
        "core.base",
        "core.data.tables",
        "core.data.duplicates",
        "core.data.photos",
        "core.data.titles",
    ),
    "core.data": ("core.base", "core.data.photos", "core.data.titles"),
    "core.scores": ("core.base", "core.data"),
    "core.training": ("core.base", "core.data"),
    "models.classifier": ("core.base",),
    "models.settings": ("core.base",),
    "models.second_stage": ("models.classifier", "core.base"),
    "models": ("models.classifier", "models.settings", "core.base", "core.data", "core.training"),
    "inference.neighbours": ("core",),
    "inference.export": ("inference.neighbours", "inference", "core"),
    "inference": ("inference.neighbours", "core"),
    "eval.report": ("core",),
    "eval.plots": ("eval.report", "eval", "core"),
    "eval.page": ("eval.report", "eval.plots", "eval", "core"),
    "eval.audit": ("eval.page", "core"),
    "eval.refine": ("eval.report", "core"),
    "eval.compare": ("eval.report", "core"),
    "eval.conversion": ("eval.compare", "eval.report", "core"),
    "eval": ("eval.report", "core"),
    "demo": ("core.base",),
    "index": ("core",),
    "serve": ("core.base",),
    "pipeline": ("serve", "index", "inference", "models", "eval", "demo", "core"),
    "cli": ("pipeline", "serve", "index", "inference", "models", "eval", "demo", "core"),
}
OWNERS = {  # a module, or all modules of a package, that may use an outside library
    "jieba": ("core.data.titles.tokenizer",),
    "rjieba": ("core.data.titles.tokenizer",),
    "sudachipy": ("core.data.titles.scripts",),
    "pythainlp": ("core.data.titles.scripts",),
    "chardet": ("core.data.photos.zip_names", "core.data.tables.encodings"),
    "fastexcel": ("core.data.tables",),  # polars loads it
    "gensim": ("core.data.titles",),
    "h5py": (
        "core.base.hdf5",
        "core.scores",
        "core.data.titles.embeddings",
        "core.data.photos.features",
        "inference.neighbours.training_features",
        "eval.refine.weights",
    ),
    "torchvision": (
        "models.torchvision_backbones",
        "core.data.photos.rand_augment",  # its operations on pixels
        "core.training.write_run",  # run.json contains its version
    ),
    "timm": ("models.timm_backbones",),
    "open_clip": ("models.open_clip_backbones",),
    "faiss": ("inference.neighbours.lists",),
    "nncf": ("inference.export.quantise",),
    "onnxruntime": ("inference.export.onnx_engine",),
    "openvino": ("inference.export.openvino_engine",),
    "lancedb": ("index.table",),
    "pyarrow": ("index.table",),
    "scipy": (
        "eval.audit",
        "eval.refine",
        "eval.compare",
        "eval.conversion",
        "eval.report.seed_intervals",
        "core.data.duplicates.groups",
    ),
    "matplotlib": ("core.base.plot_style", "eval.plots"),
    "PIL": ("core.data", "demo", "index", "inference"),
    "simplejpeg": ("core.data",),
    "polars": ("core.data", "core.base.texts", "core.base.csv_cells", "core.scores.score_table", "demo", "index"),
    "pydantic": ("core.base.config", "core.base.json_types"),
    "annotated_types": (
        "core.data.dataset_file",
        "core.scores.point_file",
        "core.scores.scores_file",
        "index",
        "inference",
    ),
    "typing_extensions": (
        "core.data",
        "core.scores",
        "core.training",
        "eval.refine.weights",
        "index",
        "inference",
        "serve.schemas",
    ),
    "fastapi": ("serve",),
    "uvicorn": ("serve.server",),
    "prometheus_client": ("serve.metrics",),
    "filelock": ("core.base.lock",),
    "safetensors": ("models.pretrained", "core.training.weights"),
    "jinja2": ("eval.page.render",),
    "markupsafe": ("eval.page.render",),
    "typer": ("cli",),
    "rich": ("core.base.console", "cli", "eval.report.render_terminal", "eval.compare.render_terminal"),
}
EVERYWHERE = {"numpy", "torch"}
WHOLE_JOURNEYS = {
    "test_layers.py",
    "test_journey.py",
    "serve/test_page.py",  # the files in serve/page
    "test_bad_input.py",
    "test_structure.py",
    "test_docs.py",
    "test_front_door.py",
    "test_recipes.py",
    "test_recognition_benchmark.py",
    "test_service_benchmark.py",
    "test_service_example.py",
    "models/test_contract.py",
    "campaigns/test_damaged_files.py",
    "campaigns/test_full_disks.py",
    "campaigns/test_killed_commands.py",
}


@dataclass(frozen=True)
class Import:
    """`module` imports `name` in `line`: when it is loaded itself, or later; or only for the type checker."""

    module: str
    name: str
    line: int
    at_once: bool
    only_types: bool

    @property
    def library(self) -> str:
        return self.name.split(".")[0]

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}, imports {self.name}"


def module_name(path: Path) -> str:
    """`prodrec/core/base/texts.py` is core.base.texts."""
    parts = path.relative_to(ROOT / "prodrec").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in SOURCES}


def imports_of(path: Path, tree: ast.Module) -> Iterator[Import]:
    """Every import of a file, wherever it stands; `from prodrec.core import console` is one of core.console."""

    def walk(node: ast.AST, at_once: bool, only_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            names: list[str] = []
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: imports are absolute"
                origin = str(child.module)
                joined = [f"{origin}.{alias.name}" for alias in child.names]
                names = sorted({name if name.removeprefix("prodrec.") in MODULES else origin for name in joined})
            for name in names:
                yield Import(module_name(path), name, child.lineno, at_once and not only_types, only_types)
            yield from walk(child, at_once and not inside, only_types or types)

    yield from walk(tree, at_once=True, only_types=False)


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Every source file, parsed once, and not before a test asks."""
    return {path: ast.parse(path.read_text("utf-8")) for path in SOURCES}


@functools.cache
def all_imports() -> tuple[Import, ...]:
    return tuple(found for path, tree in trees().items() for found in imports_of(path, tree))


def own() -> list[Import]:
    return [found for found in all_imports() if found.library == "prodrec"]


def outside() -> list[Import]:
    return [found for found in all_imports() if found.library not in {"prodrec", *sys.stdlib_module_names}]


def package(module: str) -> str:
    """The innermost of PACKAGES that contains `module`; empty for prodrec itself and for core, which have no code."""
    module = module.removeprefix("prodrec.").removeprefix("prodrec")
    return next((name for name in PACKAGES if f"{module}.".startswith(f"{name}.")), "")


def may_import(importer: str, imported: str) -> bool:
    """Whether PACKAGES allows a module of package `importer` to import one of package `imported`."""
    return any(f"{imported}.".startswith(f"{allowed}.") for allowed in (importer, *PACKAGES[importer])) or not imported


def test_imports_are_collected() -> None:
    assert {package(module) for module in MODULES} >= set(PACKAGES)
    assert len(own()) > 100 and len(outside()) > 50
    assert any(found.only_types for found in own()) and any(not found.at_once for found in outside())


def test_every_folder_is_a_package_of_the_table() -> None:
    folders = {".".join(path.parent.relative_to(ROOT / "prodrec").parts) for path in SOURCES}
    assert folders - {"", "core"} == set(PACKAGES)


def test_no_package_imports_one_above_it() -> None:
    wrong = [
        found for found in own() if package(found.module) and not may_import(package(found.module), package(found.name))
    ]
    assert not wrong, "; ".join(map(str, wrong))


def test_imports_make_no_circle() -> None:
    """Not even through imports inside functions; what only the type checker reads does not count."""
    uses: dict[str, set[str]] = {}
    for found in own():
        if not found.only_types:
            uses.setdefault(found.module, set()).add(found.name.removeprefix("prodrec."))
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path[path.index(module) :], module))
        if module not in done:
            for used in sorted(uses.get(module, ())):
                visit(used, (*path, module))
            done.add(module)

    for module in sorted(uses):
        visit(module, ())


def test_core_data_has_few_files_beside_its_packages() -> None:
    assert len(list((ROOT / "prodrec/core/data").glob("*.py"))) <= 4


def test_every_outside_library_has_its_owner() -> None:
    wrong = []
    for found in outside():
        owners = OWNERS.get(found.library, ())
        allowed = any(f"{found.module}.".startswith(f"{owner}.") for owner in owners) or found.library in EVERYWHERE
        if not allowed and not found.only_types and found.name != "torch.utils.tensorboard":
            wrong.append(found)
    assert not wrong, "; ".join(map(str, wrong))


def test_torchvisions_models_are_known_to_the_backbones_alone() -> None:
    for path, tree in trees().items():
        uses = "torchvision.models" in ast.unparse(tree)
        assert not uses or module_name(path) == "models.torchvision_backbones", path


def test_every_outside_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [
        name
        for extra in ("backbones", "export", "faiss", "fast", "japanese", "tensorboard", "thai")
        for name in project["optional-dependencies"][extra]
    ]
    declared = {
        name.split(">")[0].split("[")[0].strip().lower().replace("-", "_")
        for name in (*project["dependencies"], *extras)
    }
    packages = {"PIL": "pillow", "open_clip": "open_clip_torch", "faiss": "faiss_cpu"}
    used = {packages.get(found.library, found.library) for found in outside()}
    assert used <= declared, f"not in pyproject.toml: {', '.join(sorted(used - declared))}"


# --- what loads at once


def loaded(*modules: str) -> set[str]:
    """The libraries that are loaded after importing `modules` in a new process."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(found.stdout.split())


def test_commands_and_settings_load_nothing_heavy() -> None:
    base = [f"prodrec.{module}" for module in MODULES if module.startswith("core.base.")]
    found = loaded("prodrec.cli.app", "prodrec.models.families", "prodrec.models.network_config", *base)
    assert "typer" in found and not found & HEAVY


def test_data_loads_no_torch() -> None:
    """So that preparing a dataset never waits for it; batches are what training sees."""
    with_torch = {"core.data.batches", "core.data.photos.views"}
    modules = [f"prodrec.{m}" for m in MODULES if m.startswith("core.data.") and m not in with_torch]
    assert not loaded(*sorted(modules)) & {"torch", "torchvision"}


def test_commands_import_nothing_heavy_at_their_top() -> None:
    wrong = [
        found for found in outside() if package(found.module) == "cli" and found.at_once and found.library in HEAVY
    ]
    assert not wrong, "; ".join(map(str, wrong))


# --- sizes and places


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST
    if trees()[path].body:
        assert ast.get_docstring(trees()[path]), f"{path} does not say what it is for"


def test_tests_mirror_the_source() -> None:
    """tests/core/base/test_texts.py tests prodrec/core/base/texts.py; test_texts_more.py may be its second part."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT / "tests")
        if place.as_posix() in WHOLE_JOURNEYS:
            continue
        words = path.stem.removeprefix("test_").split("_")
        names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
        folder = ".".join(place.parent.parts)
        assert any(f"{folder}.{name}".strip(".") in MODULES for name in names), f"tests/{place} tests no module"


def test_nothing_is_printed_but_by_the_console() -> None:
    for path, tree in trees().items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        prints = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not prints, f"{path}, line {prints[0]}: use prodrec.core.base.console"
