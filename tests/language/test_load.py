"""Loading pretrained models: what is saved is what is loaded, and everything else is refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from recbench.errors import RecbenchError, UsageError
from recbench.language import load, tiny
from recbench.spec.llm import PretrainedOptions, TinyOptions

Weights = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path, tools: SimpleNamespace) -> Path:
    return tools.save_model(tmp_path / "model")


def loaded(folder: Path, **options: Any) -> Any:
    return load.load_pretrained(str(folder), None, PretrainedOptions(**options), "cpu")


def change(folder: Path, edit: Callable[[Weights], object]) -> None:
    """Edit the saved weights in place."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    edit(weights)
    save_file(weights, file, {"format": "pt"})


def configure(folder: Path, file: str, **values: Any) -> None:
    found = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(found | values))


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, tools: SimpleNamespace, tied: bool) -> None:
    """A tied output matrix is in no file and yet not missing; logits equal those of transformers' own loading."""
    folder = tools.save_model(tmp_path / "model", tie_word_embeddings=tied)
    assert ("lm_head.weight" in load_file(folder / "model.safetensors")) is not tied
    own = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = loaded(folder)
    assert model.config._attn_implementation == own.config._attn_implementation == "sdpa"
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids).logits, own(ids).logits)


def test_loading_draws_no_random_number(folder: Path) -> None:
    """Adapters start from the generator as the caller seeded it."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    loaded(folder)
    assert torch.equal(torch.rand(2), expected)


NORM = "model.norm.weight"
UNFIT: dict[str, tuple[Callable[[Weights], object], str]] = {
    "none fits": (
        lambda w: [w.__setitem__(f"x.{k}", w.pop(k)) for k in list(w)],
        r"12 missing \(lm_head\.weight, model\.embed_tokens\.weight, .*, \.\.\.\)",
    ),
    "one missing": (lambda w: w.pop(NORM), r"1 missing \(model\.norm\.weight\)"),
    "tied, both missing": (lambda w: w.pop("model.embed_tokens.weight"), "missing .*embed_tokens"),
    "shape": (
        lambda w: w.update({NORM: torch.ones(31)}),
        r"1 of another shape \(model\.norm\.weight \[31\] inst",
    ),
    "a layer more": (
        lambda w: w.update({k.replace("s.0.", "s.1."): v.clone() for k, v in w.items() if "layers.0." in k}),
        r"9 without a place in it \(model\.layers\.1\.",
    ),
    "nan": (lambda w: w[NORM].__setitem__(5, torch.nan), r"model\.norm\.weight holds NaN or infinite"),
    "inf": (lambda w: w["model.embed_tokens.weight"][2].fill_(torch.inf), r"embed_tokens\.weight holds NaN or inf"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_weights_that_do_not_fit(folder: Path, case: str) -> None:
    edit, message = UNFIT[case]
    change(folder, edit)
    with pytest.raises(RecbenchError, match=message):
        loaded(folder)


def test_buffers_of_older_versions_pass(folder: Path) -> None:
    change(folder, lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}))
    loaded(folder)


def test_a_configuration_of_another_size(folder: Path) -> None:
    configure(folder, "config.json", vocab_size=400)
    with pytest.raises(RecbenchError, match=r"embed_tokens\.weight \[300, 32\] instead of \[400, 32\]"):
        loaded(folder)


def test_attention_is_not_the_configuration_s_choice(folder: Path) -> None:
    """A name there would be fetched from the hub as a kernel and run."""
    configure(folder, "config.json", _attn_implementation="owner/kernel", attn_implementation="owner/kernel")
    assert loaded(folder).config._attn_implementation == "sdpa"


def test_attention_of_an_architecture_without_sdpa(tmp_path: Path) -> None:
    bloom = transformers.BloomConfig(vocab_size=50, hidden_size=32, n_layer=1, n_head=2)
    transformers.BloomForCausalLM(bloom).save_pretrained(tmp_path)
    own = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation
    assert loaded(tmp_path).config._attn_implementation == own


def test_pickled_weights_are_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(RecbenchError, match="No language model could be loaded"):
        loaded(folder)


CODE = "import pathlib\npathlib.Path(r'{mark}').write_text('ran')\nfrom transformers import {base} as Own\n"
REMOTE = {
    "model": ("config.json", {"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}, "LlamaConfig"),
    "known type": ("config.json", {"auto_map": {"AutoModelForCausalLM": "own.Own"}}, "LlamaForCausalLM"),
    "tokenizer": (
        "tokenizer_config.json",
        {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"},
        "PreTrainedTokenizerFast",
    ),
}


SCRIPT = """
from recbench.errors import UsageError
from recbench.language.load import load_pretrained, load_tokenizer
from recbench.spec.llm import PretrainedOptions
for load in (load_tokenizer, lambda place: load_pretrained(place, None, PretrainedOptions(), "cpu")):
    try:
        load({folder!r})
    except UsageError as error:
        print(error)
"""


@pytest.mark.parametrize("case", REMOTE)
def test_code_is_never_run_even_if_somebody_says_yes(folder: Path, tmp_path: Path, case: str) -> None:
    file, values, base = REMOTE[case]
    if case == "model":
        values = values | {"model_type": "own"}
    configure(folder, file, **values)
    (folder / "own.py").write_text(CODE.format(mark=tmp_path / "mark", base=base))
    script = [sys.executable, "-c", SCRIPT.format(folder=str(folder))]
    done = subprocess.run(script, input="y\n" * 9, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("needs its own code (auto_map in") == 2
    assert "[y/N]" not in done.stdout + done.stderr
    assert not (tmp_path / "mark").exists()


def test_a_tokenizer_alone(folder: Path) -> None:
    """As tiny's, which is stored without a model."""
    for file in ("config.json", "model.safetensors"):
        (folder / file).unlink()
    assert load.load_tokenizer(str(folder)).pad_token == tiny.PAD_TOKEN


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000])
def test_a_damaged_configuration(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(RecbenchError, match=file):
        load.load_tokenizer(str(folder))


def test_bits_need_cuda(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"llm\.bits=8 needs a CUDA device"):
        loaded(folder, bits=8)


def test_tiny_says_its_attention(folder: Path) -> None:
    model = tiny.build(TinyOptions(hidden=32, heads=2), load.load_tokenizer(str(folder)))
    assert model.config._attn_implementation == "sdpa"


def gguf_file(folder: Path, edit: Callable[[dict[str, Any]], object] = lambda tensors: None) -> Path:
    """A Llama of one layer in GGUF, tied, with the tokenizer of ``folder``, which goes."""
    gguf = pytest.importorskip("gguf")
    source, file = folder, folder.with_suffix(".gguf")
    vocabulary = transformers.AutoTokenizer.from_pretrained(source).get_vocab()
    merges = json.loads((source / "tokenizer.json").read_text())["model"]["merges"]
    size = max(vocabulary.values()) + 1
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(vocabulary, key=vocabulary.__getitem__))
    writer.add_token_types([1] * size)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(1)
    torch.manual_seed(0)
    block = {n: torch.randn(32, 32).numpy() for n in ("attn_q", "attn_k", "attn_v", "attn_output")}
    block |= {n: torch.randn(32, 32).numpy() for n in ("ffn_gate", "ffn_up", "ffn_down")}
    block |= {n: torch.ones(32).numpy() for n in ("attn_norm", "ffn_norm")}
    tensors = {f"blk.0.{name}.weight": value for name, value in block.items()}
    tensors |= {"token_embd.weight": torch.randn(size, 32).numpy(), "output_norm.weight": torch.ones(32).numpy()}
    edit(tensors)
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shutil.rmtree(source)
    return file


def test_gguf_and_what_lies_next_to_it(folder: Path, tmp_path: Path) -> None:
    """Files in the same folder change nothing, run nothing."""
    file = gguf_file(folder)
    load.convert_gguf(str(file), tmp_path / "alone")
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["own.Own", null]}}')
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/name"}')
    load.convert_gguf(str(file), tmp_path / "beside")
    for name in ("model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "beside" / name).read_bytes()
    loaded(tmp_path / "alone")


UNFIT_GGUF: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing": (lambda t: t.pop("blk.0.ffn_up.weight"), r"1 missing \(model\.layers\.0\.mlp\.up_proj\.weight\)"),
    "nan": (lambda t: t["output_norm.weight"].fill(float("nan")), r"model\.norm\.weight holds NaN"),
}


@pytest.mark.parametrize("case", UNFIT_GGUF)
def test_gguf_that_does_not_fit(folder: Path, tmp_path: Path, case: str) -> None:
    edit, message = UNFIT_GGUF[case]
    file = gguf_file(folder, edit)
    with pytest.raises(RecbenchError, match=message):
        load.convert_gguf(str(file), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gguf_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(RecbenchError, match=r"model\.gguf cannot be read as a GGUF checkpoint"):
        load.convert_gguf(str(tmp_path / "model.gguf"), tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"num_hidden_layers": 10**6}, "asks for 1,000,000 layers, but recbench builds at most 1,000"),
        ("config.json", {"attention_dropout": -1.0}, "attention_dropout=-1.0, which is not at least 0 and below 1"),
        ("tokenizer_config.json", {"model_max_length": {"a": 1}}, "No tokenizer could be loaded"),
    ],
)
def test_a_configuration_that_makes_no_sense(folder: Path, file: str, values: dict[str, Any], message: str) -> None:
    configure(folder, file, **values)
    with pytest.raises(RecbenchError, match=message):
        load.load_tokenizer(str(folder)) if file.startswith("tok") else loaded(folder)
