"""``llm.layers``: the first layers of a model are the model that is built with as many and the same weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from recbench.errors import RecbenchError, UsageError
from recbench.exporting import _refuse
from recbench.language import load
from recbench.language.layers import check_layers
from recbench.language.trial import tried
from recbench.spec.llm import PretrainedOptions
from recbench.spec.model import LanguageModel

SHAPE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 5,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "pad_token_id": 0,
}
KINDS: dict[str, Any] = {
    "llama": transformers.LlamaConfig(**SHAPE),
    "qwen3": transformers.Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=False),
    "gemma3": transformers.Gemma3TextConfig(**SHAPE, head_dim=16, sliding_window=4),
    "gpt2": transformers.GPT2Config(vocab_size=60, n_embd=32, n_layer=5, n_head=2, n_positions=64),
}
IDS = torch.arange(40)[None]


def saved(config: Any, folder: Path) -> Any:
    """A whole model with random weights."""
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return model.eval()


def first(folder: Path, layers: int) -> Any:
    return load.load_pretrained(str(folder), None, PretrainedOptions(layers=layers), "cpu")


def built(whole: Any, layers: int) -> Any:
    """A model of ``layers`` layers, by a configuration of its own, with the whole one's weights."""
    words = whole.config.to_dict()
    words |= {"num_hidden_layers": layers, "layer_types": None} if "layer_types" in words else {}
    words |= {"n_layer": layers} if "n_layer" in words else {"num_hidden_layers": layers}
    model = transformers.AutoModelForCausalLM.from_config(type(whole.config)(**words))
    own = model.state_dict()
    model.load_state_dict({name: value for name, value in whole.state_dict().items() if name in own})
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_model_is_one_that_is_built_that_small(tmp_path: Path, kind: str) -> None:
    whole = saved(KINDS[kind], tmp_path / "whole")
    model, expected = first(tmp_path / "whole", 2), built(whole, 2)
    assert len(model.state_dict()) == len(expected.state_dict()) < len(whole.state_dict())
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, expected(IDS).logits)
        assert torch.equal(model.double()(IDS).logits, expected.double()(IDS).logits)
        assert not torch.allclose(model.float()(IDS).logits, whole(IDS).logits)
    assert tried(model).packs == tried(whole).packs


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_what_is_saved_is_the_cut_model(tmp_path: Path, kind: str) -> None:
    """As export writes it: adapters merged in, and read by transformers alone."""
    saved(KINDS[kind], tmp_path / "whole")
    lm = load.attach_lora(first(tmp_path / "whole", 2), PretrainedOptions(), [])
    for name, weights in lm.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    with torch.no_grad():
        expected = lm.eval()(IDS).logits
        lm.merge_and_unload().save_pretrained(tmp_path / "cut")
        plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "cut", dtype=torch.float32).eval()
        torch.testing.assert_close(plain(IDS).logits, expected)
    assert plain.config.num_hidden_layers == 2


def test_all_of_its_layers_is_the_model(tmp_path: Path) -> None:
    whole = saved(KINDS["llama"], tmp_path / "whole")
    assert torch.equal(first(tmp_path / "whole", 5)(IDS).logits, whole(IDS).logits)


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    saved(KINDS["llama"], tmp_path / "whole")
    for refuse in (
        lambda: first(tmp_path / "whole", 6),
        lambda: check_layers(str(tmp_path / "whole"), PretrainedOptions(layers=6)),
    ):
        with pytest.raises(UsageError, match=r"^llm\.layers=6 is more than the model has: 5 layers\.$"):
            refuse()
    check_layers(str(tmp_path / "whole"), PretrainedOptions(layers=5))
    check_layers("owner/name", PretrainedOptions(layers=500))


def test_other_surplus_weights_are_refused_still(tmp_path: Path) -> None:
    whole = saved(KINDS["llama"], tmp_path / "whole")
    weights = {**whole.state_dict(), "model.layers.7.own.weight": torch.ones(2)}
    whole.save_pretrained(tmp_path / "whole", state_dict=weights)
    with pytest.raises(RecbenchError, match=r"without a place in it \(model\.layers\.7\.own\.weight\)"):
        first(tmp_path / "whole", 2)


def test_it_is_called_what_it_is() -> None:
    model = LanguageModel(name="small", options=PretrainedOptions(layers=10))
    assert model.called == "small (first 10 layers)"
    assert LanguageModel(name="small", options=PretrainedOptions()).called == "small"
    assert model.plain()["options"]["layers"] == 10
    made = SimpleNamespace(
        spec=SimpleNamespace(
            recommender=SimpleNamespace(backbone=SimpleNamespace(name="bigrec"), llm=model),
        ),
        model=SimpleNamespace(lm=SimpleNamespace(merge_and_unload=None), collaborative=None),
    )
    with pytest.raises(UsageError, match=r"Adapters of small \(first 10 layers\) do not fit the whole model"):
        _refuse(made, Path("nowhere"), merged=False)  # type: ignore[arg-type]
    assert _refuse(made, Path("nowhere"), merged=True) is model  # type: ignore[arg-type]
