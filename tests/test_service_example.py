"""examples/service: its files name options that exist, and its clients recognise photos."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from prodrec.cli.app import app
from prodrec.serve.limits import ApiKeys
from tests.serve.conftest import EchoEngine, RunningService

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "service"
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    service = RunningService(EchoEngine(), keys=ApiKeys({"shop": KEY}))
    yield service
    service.stop()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photos; the engine's answer has their bytes as the name of the class, so these are short and plain."""
    files = [tmp_path / "boot.jpg", tmp_path / "bag.jpg"]
    for file in files:
        file.write_bytes(file.stem.encode())
    return files


def run(*command: object, key: str = KEY) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PRODREC_KEY": key}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize("client", ["client.py", "client.mjs"])
def test_clients_recognise_photos(client: str, service: RunningService, photos: list[Path]) -> None:
    program = sys.executable if client.endswith(".py") else shutil.which("node")
    if program is None:
        pytest.skip("needs the program node")
    result = run(program, EXAMPLE / client, service.url, *photos)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"{photo} {photo.stem} 0.5" for photo in photos]
    assert run(program, EXAMPLE / client, service.url, *photos, key="wrong").returncode == 1
    lines = (EXAMPLE / client).read_text("utf-8").splitlines()
    assert len([line for line in lines if line and not line.startswith(("import", "from", "//", '"""'))]) <= 10


def test_the_load_test_measures(service: RunningService, photos: list[Path]) -> None:
    options = ["--clients", 3, "--seconds", 0.6, "--warm-up", 0.1, "--key", KEY, "--json"]
    line = [sys.executable, EXAMPLE / "load.py", f"{service.url}/v1/recognise?top=1", photos[0].parent]
    result = json.loads(run(*line, *options).stdout)
    assert list(result["statuses"]) == ["200"] and result["clients"] == 3
    assert result["photos_per_second"] == pytest.approx(result["statuses"]["200"] / 0.6)
    assert 0 < result["p50"] <= result["p95"] <= result["p99"] <= result["longest"] < 600
    as_json = run(*line, *options, "--base64").stdout
    assert list(json.loads(as_json)["statuses"]) == ["200"]
    refused = json.loads(run(*line, *options[:-3], "--json").stdout)
    assert list(refused["statuses"]) == ["401"] and refused["photos_per_second"] == 0
    empty = run(sys.executable, EXAMPLE / "load.py", service.url, ROOT / "prodrec" / "cli")
    assert empty.returncode == 1 and "contains no photo" in empty.stderr


def parse(arguments: list[str]) -> Any:
    """Parse a line of `prodrec`, without running it. It fails for an option that does not exist."""
    command: Any = typer.main.get_command(app)
    assert arguments[0] in command.commands
    return command.commands[arguments[0]].make_context(arguments[0], arguments[1:]).params


def dockerfile() -> dict[str, list[str]]:
    lines = (EXAMPLE / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    words: dict[str, list[str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            words.setdefault(line.split()[0], []).append(line.partition(" ")[2])
    return words


def test_the_image_copies_files_that_exist_and_starts_a_command_that_exists() -> None:
    words = dockerfile()
    for line in words["COPY"]:
        assert all((ROOT / source).exists() for source in line.split()[:-1]), line
    entry = json.loads(words["ENTRYPOINT"][0])
    assert entry[0] == "prodrec" and parse(entry[1:])["host"] == "0.0.0.0"
    check = json.loads(words["HEALTHCHECK"][0].partition("CMD")[2])
    compile(check[2], "HEALTHCHECK", "exec")
    assert check[:2] == ["python", "-c"] and "/ready" in check[2]
    assert {line.split()[0] for line in words["RUN"]} == {"pip", "useradd"} and words["USER"] == ["10001"]


def test_compose_starts_the_image_with_options_that_exist() -> None:
    compose = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
    service = compose["services"]["prodrec"]
    entry = json.loads(dockerfile()["ENTRYPOINT"][0])
    params = parse([*entry[1:], *service["command"]])
    assert params["api_key_file"] == Path("/run/secrets/keys") and service["secrets"] == list(compose["secrets"])
    assert (EXAMPLE / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == EXAMPLE / "Dockerfile"
    assert service["volumes"][0].split(":")[1] == entry[2]
    assert int(service["stop_grace_period"].rstrip("s")) > params["seconds"]


def test_kubernetes_starts_the_image_with_options_that_exist() -> None:
    deployment, route = yaml.safe_load_all((EXAMPLE / "kubernetes.yaml").read_text("utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    entry = json.loads(dockerfile()["ENTRYPOINT"][0])
    params = parse([*entry[1:], *container["args"]])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert params["api_key_file"].parent == Path(mounts["keys"]) and mounts["model"] == entry[2]
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert container["ports"][0]["containerPort"] == params["port"]
    assert pod["terminationGracePeriodSeconds"] > params["seconds"] + 5
    assert deployment["spec"]["selector"]["matchLabels"] == route["spec"]["selector"]
    routes = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert routes == {"/ready", "/health"}


def test_systemd_starts_options_that_exist() -> None:
    lines = dict(
        line.split("=", 1) for line in (EXAMPLE / "prodrec.service").read_text("utf-8").splitlines() if "=" in line
    )
    program, *arguments = shlex.split(lines["ExecStart"])
    params = parse(arguments)
    assert Path(program).name == "prodrec" and float(lines["TimeoutStopSec"]) > params["seconds"]
    assert lines["LoadCredential"].split(":")[0] == params["api_key_file"].name


def test_the_readme_names_options_that_exist() -> None:
    text = (EXAMPLE / "README.md").read_text("utf-8")
    usage = run(sys.executable, EXAMPLE / "load.py", "--help").stdout
    (line,) = (line for line in text.splitlines() if line.startswith("python examples/service/load.py"))
    assert all(word in usage for word in line.split() if word.startswith("--"))
    files = {file.name for file in EXAMPLE.iterdir() if file.is_file()} - {"README.md"}
    assert {name for name in files if f"]({name})" in text} == files
