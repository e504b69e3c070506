"""What ``--llm`` names: kinds, names, refusals, and commits of a hub that answers, moves, refuses or is gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import pytest

from recbench.errors import RecbenchError, UsageError
from recbench.language import hub
from recbench.language.facts import describe_llm
from recbench.language.fingerprint import fingerprint

A, B = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, an empty home, an empty cache of the hub."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def make_model(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in {"config.json": "{}", "model.safetensors": "", **files}.items():
        (folder / name).write_text(text)
    return folder


def test_tiny() -> None:
    facts = describe_llm("tiny")
    assert (facts.name, facts.kind, facts.place) == ("tiny", "tiny", "tiny")
    assert facts.fingerprint is facts.commit is None


def test_planning_loads_no_torch() -> None:
    script = "import sys, recbench.language.facts as f; f.describe_llm('tiny'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


WRITTEN = ["models/small", "./models/small", "{here}/models/small", "models/link", "models/small/"]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_folder(tmp_path: Path, text: str) -> None:
    """However it is written: called by its last folder, loaded from an absolute place."""
    folder = make_model(Path("models/small"))
    Path("models/link").symlink_to("small")
    facts = describe_llm(text.format(here=tmp_path / "here"))
    assert (facts.name, facts.kind, facts.commit) == ("small", "folder", None)
    assert os.path.isabs(facts.place)
    assert os.path.samefile(facts.place, folder)
    assert facts.fingerprint == fingerprint(folder)


def test_a_folder_called_tiny() -> None:
    make_model(Path("tiny"))
    assert describe_llm("tiny").kind == "tiny"
    assert describe_llm("./tiny").name == "./tiny"


def test_a_home_expands_once(tmp_path: Path) -> None:
    make_model(tmp_path / "home" / "~" / "small")
    assert describe_llm("~/~/small").place == str(tmp_path / "home" / "~" / "small")


def test_a_gguf_file() -> None:
    Path("small.gguf").write_text("GGUF")
    facts = describe_llm("small.gguf")
    assert (facts.name, facts.kind, facts.place) == ("small.gguf", "gguf", str(Path("small.gguf").absolute()))
    assert facts.fingerprint == fingerprint(Path("small.gguf"))


REFUSED: dict[str, tuple[str, dict[str, str | None], str]] = {
    "nothing": ("", {}, "nor a hub identifier"),
    "near tiny": ("tny", {}, "did you mean 'tiny'"),
    "three parts": ("a/b/c", {}, "nor a hub identifier"),
    "spaces": ("my model", {}, "nor a hub identifier"),
    "nul": ("a\0b", {}, "nor a hub identifier"),
    "not there": ("./none", {}, r"'\./none' does not exist"),
    "nobody's home": ("~nobody-here/model", {}, "is not a path here"),
    "no gguf": ("none.gguf", {}, "does not exist"),
    "long": ("./" + "x" * 5000, {}, "does not exist"),
    "a file": ("model/config.json", {}, r"not a \.gguf one"),
    "no config": ("model", {"config.json": None}, r"has no config\.json"),
    "pickled": ("model", {"model.safetensors": None, "pytorch_model.bin": ""}, r"no \.safetensors weights"),
    "adapter": ("model", {"config.json": None, "adapter_config.json": "{}"}, "is an adapter, not a model: merge it"),
    "adapter inside": ("model", {"adapter_config.json": "{}"}, "is an adapter, not a model: merge it"),
    "code": ("model", {"config.json": '{"auto_map": {"AutoModelForCausalLM": "own.Own"}}'}, r"its own code"),
    "tokenizer's code": ("model", {"tokenizer_config.json": '{"auto_map": ["own.Own", null]}'}, r"its own code"),
    "config no JSON": ("model", {"config.json": "{"}, r"config\.json is not JSON"),
    "config no object": ("model", {"config.json": "[]"}, r"config\.json holds no JSON object"),
    "deep config": ("model", {"config.json": "[" * 100_000}, r"config\.json is not JSON"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    text, files, message = REFUSED[case]
    make_model(Path("model"))
    for name, content in files.items():
        if content is None:
            (Path("model") / name).unlink()
        else:
            (Path("model") / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        describe_llm(text)


def test_a_revision_of_what_has_none() -> None:
    make_model(Path("model"))
    for text in ("tiny", "model"):
        with pytest.raises(UsageError, match=r"llm\.revision=main does not apply"):
            describe_llm(text, "main")


# ------------------------------------------------------------------------------------------------ a hub out of reach


def out_of_reach(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)


def snapshot(commit: str, age: float, **files: str) -> Path:
    folder = Path(huggingface_hub.constants.HF_HUB_CACHE) / "models--owner--name" / "snapshots" / commit
    make_model(folder, **files)
    os.utime(folder, (time.time() - age,) * 2)
    return folder


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("not JSON"), TimeoutError()])
def test_no_hub_and_no_copy(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    out_of_reach(monkeypatch, error)
    with pytest.raises(RecbenchError, match=r"^--llm owner/name: the hub cannot be reached \(.*no local copy;"):
        describe_llm("owner/name")


def test_offline_the_newest_copy_is_taken_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    out_of_reach(monkeypatch, OSError("no route"))
    snapshot(A, age=10)
    snapshot(B, age=20)
    unfinished = snapshot("c" * 40, age=0)
    (unfinished / "model.safetensors").unlink()
    (unfinished / "model.safetensors").symlink_to("gone")
    snapshot("not-a-commit", age=0)
    facts = describe_llm("owner/name")
    assert (facts.name, facts.kind, facts.place, facts.commit) == ("owner/name", "hub", "owner/name", A)
    assert "cannot be reached" in facts.note
    assert f"newest local copy, commit {A}" in facts.note


def test_offline_a_revision_is_that_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out_of_reach(monkeypatch, OSError("no route"))
    snapshot(A, age=10)
    folder = snapshot(B, age=20)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "v1").write_text(B)
    assert describe_llm("owner/name", "v1").commit == B
    assert describe_llm("owner/name", B).commit == B
    for absent in ("v2", "c" * 40, "../../x"):
        with pytest.raises(RecbenchError, match="no local copy of revision"):
            describe_llm("owner/name", absent)


def test_a_hub_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(hub, "TIMEOUT", 0.3)
        started = time.perf_counter()
        with pytest.raises(RecbenchError, match="cannot be reached"):
            describe_llm("owner/name")
        assert time.perf_counter() - started < 5


# ------------------------------------------------------------------------------------------------ a hub on this machine


class Hub(ThreadingHTTPServer):
    """Serves ``files[commit]`` of owner/name as the hub does; ``main`` moves, ``down`` makes it fail."""

    files: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    info: dict[str, Any]
    down = False
    gated = False


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def answer(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        if path.startswith("/control/"):
            action, value = path.split("/")[2:]
            hub.down = action == "down"
            hub.refs["main"] = value if action == "move" else hub.refs["main"]
            self.reply(200)
        elif hub.down:
            self.reply(503)
        elif path.startswith("/api/models/owner/name"):
            self.model(path.removeprefix("/api/models/owner/name"))
        elif path.startswith("/owner/name/resolve/"):
            revision, _, file = path.removeprefix("/owner/name/resolve/").partition("/")
            commit = hub.refs.get(revision, revision)
            if file in hub.files[commit]:
                body = hub.files[commit][file]
                self.reply(200, body, ETag=f'"{commit[:8]}-{file}"', X_Repo_Commit=commit)
            else:
                self.reply(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        else:
            self.reply(404, X_Error_Code="RepoNotFound")

    def model(self, rest: str) -> None:
        hub = self.server
        if rest == "/auth-check":
            self.reply(403, X_Error_Code="GatedRepo")
            return
        if rest.startswith("/tree/"):  # of chat templates, which the model has none of
            self.reply(404, X_Error_Code="EntryNotFound")
            return
        revision = rest.removeprefix("/revision/") or "main"
        commit = hub.refs.get(revision, revision)
        if commit not in hub.files:
            self.reply(404, X_Error_Code="RevisionNotFound")
            return
        siblings = [{"rfilename": name} for name in hub.files[commit]]
        answer = {"id": "owner/name", "sha": commit, "siblings": siblings, "gated": "auto" if hub.gated else False}
        self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")


@pytest.fixture
def serve() -> Iterator[Callable[..., Hub]]:
    servers: list[Hub] = []

    def start(**files: dict[str, bytes]) -> Hub:
        server = Hub(("127.0.0.1", 0), Handler)
        server.files = files
        server.refs = {"main": A, "v1": A}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Hub]) -> Callable[..., Hub]:
    """A hub with these files at commit A, as the one that this process asks."""

    def start(*names: str, gated: bool = False) -> Hub:
        server = serve(**{A: dict.fromkeys(names, b"{}")})
        server.gated = gated
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        return server

    return start


def test_a_hub_that_answers(reach: Callable[..., Hub]) -> None:
    server = reach("config.json", "model.safetensors", "README.md")
    assert describe_llm("owner/name").commit == A
    assert not describe_llm("owner/name").note
    server.files[B], server.refs["main"] = server.files[A], B
    assert describe_llm("owner/name").commit == B
    assert describe_llm("owner/name", "v1").commit == A
    assert describe_llm("owner/name", A).commit == A
    with pytest.raises(UsageError, match=r"llm\.revision=v9: owner/name has no branch, tag or commit"):
        describe_llm("owner/name", "v9")
    with pytest.raises(UsageError, match="--llm owner/other: the hub has no model of this name"):
        describe_llm("owner/other")


@pytest.mark.parametrize(
    ("files", "gated", "message"),
    [
        (["config.json", "model.safetensors"], True, "--llm owner/name is gated: ask for access"),
        (["adapter_config.json", "adapter_model.safetensors"], False, "is an adapter, not a model"),
        (["config.json", "pytorch_model.bin"], False, r"has no \.safetensors weights"),
        (["config.json", "original/x.safetensors"], False, r"has no \.safetensors weights"),
        (["model.safetensors"], False, r"has no config\.json"),
        (["small.gguf"], False, "holds GGUF files: download one"),
    ],
)
def test_what_the_hub_holds(reach: Callable[..., Hub], files: list[str], gated: bool, message: str) -> None:
    reach(*files, gated=gated)
    with pytest.raises(UsageError, match=message):
        describe_llm("owner/name")


SCENARIO = """
import json, sys, time, urllib.request, torch
from recbench.errors import RecbenchError
from recbench.language.facts import describe_llm
from recbench.language.load import load_pretrained, load_tokenizer
from recbench.spec.llm import PretrainedOptions
url, old, new = sys.argv[1:]
def control(action, value=""): urllib.request.urlopen(f"{url}/control/{action}/{value}").read()
def weights(commit):
    load_tokenizer("owner/name", commit)
    model = load_pretrained("owner/name", commit, PretrainedOptions(), "cpu")
    return float(model.get_input_embeddings().weight.double().sum())
found = {}
first = describe_llm("owner/name")
found["first"] = [first.commit, weights(first.commit)]
control("move", new)
second = describe_llm("owner/name")
found["second"] = [second.commit, weights(second.commit)]
found["old"] = weights(old)
control("down")
started = time.perf_counter()
last = describe_llm("owner/name")
found["down"] = [last.commit, last.note, weights(old), weights(new)]
found["seconds"] = time.perf_counter() - started
try: weights("c" * 40)
except RecbenchError as error: found["absent"] = str(error)
control("move", "c" * 40)
try: weights("c" * 40)
except RecbenchError as error: found["code"] = str(error)
print(json.dumps(found))
"""


def test_a_commit_names_weights_for_ever(tmp_path: Path, serve: Callable[..., Hub], tools: SimpleNamespace) -> None:
    """A real client and a real server: the model moves, the old commit gives the old weights, also without the hub."""
    files = {}
    for seed, commit in enumerate((A, B)):
        folder = tools.save_model(tmp_path / commit, seed)
        files[commit] = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = json.loads(files[A]["config.json"])
    files["c" * 40] = files[A] | {"config.json": json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}).encode()}
    server = serve(**files)
    url = f"http://127.0.0.1:{server.server_port}"
    env = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
    call = [sys.executable, "-c", SCENARIO, url, A, B]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (first, of_first), (second, of_second) = found["first"], found["second"]
    assert (first, second) == (A, B)
    assert of_first != of_second
    assert found["old"] == of_first
    commit, note, old, new = found["down"]
    assert commit in (A, B)
    assert "cannot be reached" in note
    assert (old, new) == (of_first, of_second)
    assert found["seconds"] < 20
    assert "there is no local copy of revision ccc" in found["absent"]
    assert "needs its own code (auto_map in config.json)" in found["code"]
