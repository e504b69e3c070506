"""Language models with a name: models.yaml, fetching one, and what its name stands for afterwards."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from click.testing import CliRunner

from recbench.cli import again, cli
from recbench.errors import DataError, RecbenchError, UsageError
from recbench.files import sha256_file
from recbench.language import adding, known
from recbench.language.facts import describe_llm
from recbench.spec.llm import PretrainedOptions
from recbench.spec.model import LanguageModel

COMMIT, LATER = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An empty cache folder, a wheel that pip would download, and the registry that names its file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    wheel = tmp_path / "small-1-py3-none-any.whl"
    (tmp_path / "m.gguf").write_bytes(b"GGUF of a test")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "m.gguf", "small/m.gguf")
    about: dict[str, Any] = {"title": "Small", "parameters": 10**6, "size": 14, "licence": "Apache-2.0"}
    found = sha256_file(tmp_path / "m.gguf")
    table = {
        "small-1m": known.KnownModel("small-1m", **about, wheel="small==1", file="small/m.gguf", sha256=found),
        "far-1b": known.KnownModel("far-1b", **about, gated=True, repository="owner/far"),
    }
    monkeypatch.setattr(known, "models", lambda: table)
    monkeypatch.setattr("recbench.cli.llm.models", lambda: table)
    return SimpleNamespace(wheel=wheel, table=table)


@pytest.fixture
def pip(own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A pip that gives the wheel; the commands it was called by."""
    calls = []

    def run(command: list[str], **_: Any) -> Any:
        calls.append(command)
        shutil.copy(own.wheel, command[command.index("--dest") + 1])
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A hub whose branch can move, and a client that keeps snapshots."""
    found = SimpleNamespace(commit=COMMIT, asked=[], files={"config.json": "{}", "model.safetensors": ""})

    def info(self: Any, name: str, revision: str | None = None, **_: Any) -> Any:
        files = [SimpleNamespace(rfilename=file) for file in found.files]
        return SimpleNamespace(sha=revision or found.commit, gated=False, siblings=files)

    def download(name: str, **words: Any) -> str:
        found.asked.append((name, words))
        place = tmp_path / "hub" / words["revision"]
        place.mkdir(parents=True, exist_ok=True)
        for file, text in found.files.items():
            (place / file).write_text(text)
        return str(place)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return found


def call(*words: str) -> Any:
    return CliRunner().invoke(cli, ["llm", *words])


def test_the_registry_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    table = known.models()
    assert {"smollm2-135m", "llama-3-8b", "llama-3.2-1b", "qwen3-0.6b", "gemma-3-270m"} <= set(table)
    for model in table.values():
        assert model.title
        assert model.licence
        assert model.size > 10**8 or model.wheel
        assert model.gated == (model.repository.partition("/")[0] in ("meta-llama", "google"))
        assert not model.revision or len(model.revision) == 40


def test_a_wheel_becomes_a_model(own: SimpleNamespace, pip: list[list[str]]) -> None:
    """Downloaded without its dependencies, taken out of the wheel, and then named as any other model."""
    with pytest.raises(UsageError, match=r"--llm small-1m is not on this machine yet: run `recbench llm add small-1m`"):
        known.describe_named("small-1m")
    done = call("add", "small-1m")
    assert done.exit_code == 0, done.output
    assert "--no-deps" in pip[0]
    assert "small==1" in pip[0]
    facts = known.describe_named("small-1m")
    assert (facts.name, facts.kind, Path(facts.place).name) == ("small-1m", "gguf", "m.gguf")
    assert facts.fingerprint == describe_llm(facts.place).fingerprint
    assert "already here" in call("add", "small-1m").output
    assert len(pip) == 1
    assert call("add", "small-1m", "--again").exit_code == 0
    assert len(pip) == 2
    assert known.placed("small-1m") == facts.place


def test_another_file_is_refused(own: SimpleNamespace, pip: list[list[str]]) -> None:
    model = replace(own.table["small-1m"], sha256="0" * 64)
    with pytest.raises(RecbenchError, match=r"does not hold the file that models\.yaml describes: its sha256 is"):
        adding.add(model)
    with pytest.raises(RecbenchError, match=r"small==1 does not hold none\.gguf"):
        adding.add(replace(model, file="none.gguf"))
    assert not model.added


def test_a_download_that_fails(own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: No matching distribution found for small==1\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    done = call("add", "small-1m")
    assert done.exit_code == 1
    assert "small==1 could not be downloaded: ERROR: No matching distribution" in done.output


def test_a_damaged_file_is_named(own: SimpleNamespace, pip: list[list[str]]) -> None:
    call("add", "small-1m")
    own.table["small-1m"].place.write_bytes(b"GGUF, changed")
    with pytest.raises(RecbenchError, match="is damaged: run `recbench llm add small-1m --again`"):
        known.describe_named("small-1m")


def test_a_hub_model_is_pinned(own: SimpleNamespace, hub: SimpleNamespace) -> None:
    """To the commit found when it was added, although the branch moves; --again moves along."""
    assert known.placed("far-1b") == "owner/far"
    done = call("add", "far-1b")
    assert done.exit_code == 0, done.output
    ((name, words),) = hub.asked
    assert (name, words["revision"], words["local_files_only"]) == ("owner/far", COMMIT, False)
    assert "*.safetensors" in words["allow_patterns"]
    assert not any("bin" in pattern for pattern in words["allow_patterns"])
    hub.commit = LATER
    facts = known.describe_named("far-1b")
    assert (facts.name, facts.kind, facts.place, facts.commit) == ("far-1b", "hub", "owner/far", COMMIT)
    call("add", "far-1b", "--again")
    assert known.describe_named("far-1b").commit == LATER
    with pytest.raises(UsageError, match=r"llm\.revision=main does not apply"):
        known.describe_named("far-1b", "main")
    own.table["far-1b"].place.write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        known.describe_named("far-1b")


def test_a_hub_model_without_safetensors(hub: SimpleNamespace) -> None:
    hub.files = {"config.json": "{}", "pytorch_model.bin": ""}
    done = call("add", "far-1b")
    assert done.exit_code == 2
    assert "opens no pickled ones" in done.output


def test_the_list(own: SimpleNamespace, pip: list[list[str]]) -> None:
    call("add", "small-1m")
    lines = call("list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["name", "small-1m", "far-1b"]
    assert "yes" in lines[1]
    assert "Apache-2.0, gated" in lines[2]
    assert "owner/far@main" in lines[2]


def test_names_that_are_nearly_right() -> None:
    done = call("add", "small-2m")
    assert done.exit_code == 2
    assert "did you mean 'small-1m'" in done.output
    with pytest.raises(UsageError, match="did you mean 'small-1m'"):
        known.describe_named("Small-1M")


def test_a_folder_of_the_same_name(tools: SimpleNamespace) -> None:
    """The name is the registry's, as with tiny; the folder is called by a path."""
    tools.save_model(Path("small-1m"))
    with pytest.raises(UsageError, match="not on this machine yet"):
        known.describe_named("small-1m")
    assert known.describe_named("./small-1m").name == "./small-1m"


def test_a_record_is_run_again_by_name(
    own: SimpleNamespace, pip: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record names no path: its model is found by name, a hub model's at the commit of the record."""
    monkeypatch.setattr(again, "models", lambda: own.table)

    def place(name: str, **facts: str) -> str | None:
        model = LanguageModel(name=name, options=PretrainedOptions(), **facts)
        return again._llm(SimpleNamespace(recommender=SimpleNamespace(language_model=model)), {})  # type: ignore[arg-type]

    assert place("far-1b", commit=COMMIT) == "owner/far"
    with pytest.raises(UsageError, match="not on this machine yet: run `recbench llm add small-1m`"):
        place("small-1m", fingerprint="0" * 64)
    call("add", "small-1m")
    assert place("small-1m", fingerprint="0" * 64) == str(own.table["small-1m"].place)
    with pytest.raises(UsageError, match="say where it is, as in --llm other=PATH"):
        place("other", fingerprint="0" * 64)
