"""Hostile model folders, GGUF files and checkpoints: refused, or ignored and said so; nothing in them is executed."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

OWN = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", "--set", "machine.threads=1"]
SMALL = ["--epochs", "1", "--train-samples", "32", "--set", "evaluate.validation_cases=4", "--set", "evaluate.cases=8"]
TEXT = ["run", "--model", "bigrec", "--llm", "./model", *OWN, *SMALL]
GGUF = ["run", "--model", "bigrec", "--llm", "x.gguf", *OWN, *SMALL]
VALUES: list[Any] = [None, True, -1, 0, 3, 10**6, 10**400, 0.5, 1e308, "", "x", "../../x", [], {}, ["a"], {"a": 1}]
CODE = "from pathlib import Path\nPath({canary!r}).touch()\nclass Own: pass\n"


class Call:
    """What a pickle does when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


def edit(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder."""
    import torch
    import transformers

    from recbench.language import tiny

    folder = tmp_path_factory.mktemp("model") / "model"
    tiny.train_tokenizer(["A film (1995)", "Another film (1996)"], 300, folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=300, **shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def model(place: Any, llama: Path) -> Path:
    """The folder in the place."""
    return Path(shutil.copytree(llama, place.work / "model"))


FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]


@pytest.mark.torture
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_model_folder(file: str, damage: Any, model: Path, place: Any) -> None:
    damage(model / file, place.outside)
    place.call(*TEXT)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(40))
def test_a_configuration_with_another_value(seed: int, model: Path, place: Any) -> None:
    draws = random.Random(seed)
    file = model / draws.choice(FILES[:3])
    content = json.loads(file.read_text())
    content[draws.choice(sorted(content))] = draws.choice(VALUES)
    file.write_text(json.dumps(content))
    place.call(*TEXT)


def _header(declared: int, header: bytes) -> bytes:
    return struct.pack("<Q", declared) + header


HOSTILE: dict[str, Any] = {
    "auto_map": lambda m, c: edit(m / "config.json", auto_map={"AutoModelForCausalLM": "own.Own"}),
    "auto_map of the tokenizer": lambda m, c: edit(
        m / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]}
    ),
    "a class that is not there": lambda m, c: edit(m / "tokenizer_config.json", tokenizer_class="os.system"),
    "template": lambda m, c: (m / "chat_template.jinja").write_text(
        "{{ cycler.__init__.__globals__.os.popen('touch " + str(c) + "').read() }}"
    ),
    "template without an end": lambda m, c: (m / "chat_template.jinja").write_text(
        "{% for x in range(10**12) %}{% endfor %}"
    ),
    "pickled weights": lambda m, c: (
        (m / "model.safetensors").unlink(),
        (m / "pytorch_model.bin").write_bytes(pickle.dumps(Call(c))),
    ),
    "an index outside": lambda m, c: (
        (m / "model.safetensors").unlink(),
        (m / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../outside/secret"}})),
    ),
    "a header of 2**63 bytes": lambda m, c: (m / "model.safetensors").write_bytes(_header(2**63, b"{}")),
    "a tensor out of the file": lambda m, c: (m / "model.safetensors").write_bytes(
        _header(64, b'{"a":{"dtype":"F32","shape":[9999999],"data_offsets":[0,39999996]}}'[:64])
    ),
    "an adapter of an outside model": lambda m, c: (m / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(c.parent), "auto_mapping": {"x": "y"}})
    ),
    "a million layers": lambda m, c: edit(m / "config.json", num_hidden_layers=10**6),
    "a vocabulary of 10**12": lambda m, c: edit(m / "config.json", vocab_size=10**12),
    "no heads": lambda m, c: edit(m / "config.json", num_attention_heads=0),
    "a kernel": lambda m, c: edit(m / "config.json", _attn_implementation="owner/kernel"),
    "a quantisation": lambda m, c: edit(m / "config.json", quantization_config={"quant_method": "own.Own"}),
    "a link to outside": lambda m, c: (m / "more").symlink_to(c.parent),
    "a link upwards": lambda m, c: (m / "more").symlink_to(".."),
}


@pytest.mark.torture
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_folder(name: str, model: Path, place: Any) -> None:
    (model / "own.py").write_text(CODE.format(canary=str(place.canary)))
    HOSTILE[name](model, place.canary)
    place.call(*TEXT)


BLOCKS = {
    "nothing": b"",
    "magic": b"GGUF",
    "another magic": b"GGML" + bytes(100),
    "version 99": struct.pack("<4sIQQ", b"GGUF", 99, 0, 0),
    "big endian": struct.pack(">4sIQQ", b"GGUF", 3, 1, 1),
    "no tensors": struct.pack("<4sIQQ", b"GGUF", 3, 0, 0),
    "tensors without end": struct.pack("<4sIQQ", b"GGUF", 3, 2**62, 0),
    "keys without end": struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**62),
    "a key of 2**62 letters": struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**62) + b"x",
    "an array of arrays": struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"a", 9, 9, 2**40),
    "another architecture": struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    + struct.pack("<Q20sIQ4s", 20, b"general.architecture", 8, 4, b"evil"),
    "noise": b"GGUF" + random.Random(1).randbytes(2000),
    "pickle": pickle.dumps(["x"]),
}


@pytest.mark.torture
@pytest.mark.parametrize("name", BLOCKS)
def test_a_hostile_gguf_file(name: str, place: Any) -> None:
    (place.work / "x.gguf").write_bytes(BLOCKS[name])
    place.call(*GGUF, refused=True)


# ---- model folders that are refused before anything slow is imported -----------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_folder_is_refused_before_it_is_loaded(name: str, damage: Any, place: Any) -> None:
    folder = place.work / "model"
    folder.mkdir()
    for file in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        (folder / file).write_text('{"model_type": "llama"}')
    damage(folder / name, place.outside)
    place.call(*TEXT, "--dry-run")


# ---- checkpoints --------------------------------------------------------------------------------------------------

TRAINED = ["run", "--model", "sasrec", *OWN, "--epochs", "30", "--set", "train.patience=0"]
TRAINED += ["--set", "train.checkpoint_minutes=0.001", "--set", "evaluate.validation_cases=20"]


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> Path:
    """The runs folder of a training that was killed."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "own.csv").write_text("\n".join(rows) + "\n")
    process = subprocess.Popen([sys.executable, "-m", "recbench", *TRAINED], cwd=folder, stderr=subprocess.DEVNULL)
    while not list(folder.glob("runs/steps/.checkpoints/*/0.pt")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    return folder / "runs"


def _zip(path: Path, names: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)


def _resaved(path: Path, change: Any) -> None:
    import torch

    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def _state(content: Any, **values: Any) -> None:
    content["state"] = json.dumps({**json.loads(content["state"]), **values})


CHECKPOINTS: dict[str, Any] = {
    "pickle": lambda p, c: p.write_bytes(pickle.dumps(Call(c))),
    "pickle in a zip": lambda p, c: _zip(p, {"archive/data.pkl": pickle.dumps(Call(c)), "archive/version": b"3"}),
    "zip-slip": lambda p, c: _zip(p, {"../../../../outside/canary": b"x", "/tmp/recbench-canary": b"x"}),
    "another step": lambda p, c: _resaved(p, lambda x: x.update(step="model-0000")),
    "no optimiser": lambda p, c: _resaved(p, lambda x: x.update(optimizer={})),
    "no generators": lambda p, c: _resaved(p, lambda x: x["own"][0].update(draws={})),
    "no parts": lambda p, c: _resaved(p, lambda x: x["own"][0].update(parts={})),
    "a number of steps": lambda p, c: _resaved(p, lambda x: _state(x, global_step="many")),
    "steps beyond the end": lambda p, c: _resaved(p, lambda x: _state(x, global_step=10**6)),
    "no state": lambda p, c: _resaved(p, lambda x: x.update(state="{}")),
    "state is code": lambda p, c: _resaved(p, lambda x: x.update(state="__import__('os')")),
    "seconds": lambda p, c: _resaved(p, lambda x: x.update(seconds="long")),
    "no processes": lambda p, c: _resaved(p, lambda x: x.update(own=[])),
    "own is a word": lambda p, c: _resaved(p, lambda x: x.update(own=["x"])),
    "trained is a list": lambda p, c: _resaved(p, lambda x: x.update(trained=[1])),
}


def attack(again: Any, interrupted: Path, change: Any) -> None:
    """Run on a changed checkpoint; where that is refused, once more, since the file is then gone."""
    shutil.copytree(interrupted, again.work / "runs")
    (path,) = again.work.glob("runs/steps/.checkpoints/*/0.pt")
    change(path)
    if again.call(*TRAINED).exit_code:
        again.call(*TRAINED, refused=False)
    assert not Path("/tmp/recbench-canary").exists()
    assert not list(again.work.glob("runs/steps/.partial/*"))


@pytest.mark.torture
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_hostile_checkpoint(name: str, place: Any, interrupted: Path) -> None:
    attack(place, interrupted, lambda path: CHECKPOINTS[name](path, place.canary))


@pytest.mark.torture
def test_a_damaged_checkpoint(damage: Any, place: Any, interrupted: Path) -> None:
    attack(place, interrupted, lambda path: damage(path, place.outside))
