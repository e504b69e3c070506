"""``llm.adapt_last``: what enters the first adapted layer is computed once, and the training is the same."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from recbench.errors import UsageError
from recbench.interfaces import Fit, SilentReporter, TrainOptions
from recbench.language import frozen, load
from recbench.language.textmodel import TextModel
from recbench.spec.llm import PretrainedOptions
from recbench.spec.request import Request
from recbench.spec.resolve import resolve
from recbench.testing import tiny_split, tiny_text_model
from recbench.training import text
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, collate, tune
from recbench_plugins.losses.lml import LML, LMLOptions
from recbench_plugins.losses.msl import MSL, MSLOptions

SPLIT = tiny_split()
WINDOWS = SPLIT.train.take(np.arange(24))
LAYERS = 5


class Telling(SilentReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


def adapted(last: int, kind: str = "llama", apart: bool = False, **options: Any) -> TextModel:
    """A pretrained model, as far as training knows, in fp64, with adapters in its last layers."""
    plain = tiny_text_model(SPLIT, apart=apart)
    vocabulary = plain.encoder.vocabulary
    shape = {"vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": LAYERS}
    shape |= {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0}
    configs = {
        "llama": lambda: transformers.LlamaConfig(**shape),
        "qwen3": lambda: transformers.Qwen3Config(**shape),
        "gemma3": lambda: transformers.Gemma3TextConfig(**shape, sliding_window=512),
        "gpt2": lambda: transformers.GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=LAYERS, n_head=2),
        "gpt2 without dropout": lambda: transformers.GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=LAYERS, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
        ),
    }
    torch.manual_seed(2)
    lm = transformers.AutoModelForCausalLM.from_config(configs[kind](), attn_implementation="sdpa")
    if kind.startswith("gpt2"):
        options["lora_targets"] = ("c_attn",)
    lm = load.attach_lora(lm, PretrainedOptions(adapt_last=last, **options), [])
    for name, weights in lm.named_parameters():
        if "lora_B" in name:  # zero at first, so that dropout and lora_A would count for nothing
            torch.nn.init.normal_(weights, std=0.1)
    return replace(plain, lm=lm.double())


def plan(epochs: int = 3, **more: Any) -> Fit:
    budget = TrainOptions(epochs=epochs, batch_size=8, learning_rate=1e-3, schedule="constant")
    return Fit(budget, 1, "cpu", 1, None, more.pop("reporter", SilentReporter()), **more)


@contextmanager
def nothing_kept(*_: Any) -> Any:
    yield None


def trained(model: TextModel, monkeypatch: pytest.MonkeyPatch, kept: bool, loss: Any, epochs: int = 3) -> Any:
    """The trained parameters, and how many rows the frozen layers read."""
    computed = []
    if kept:

        class Counting(frozen.Below):
            def _keep(self, rows: Any, *rest: Any) -> None:
                super()._keep(rows, *rest)
                computed.append(len(rows))

        monkeypatch.setattr(frozen, "Below", Counting)
        monkeypatch.setattr(text, "kept_below", frozen.kept_below)
    else:
        monkeypatch.setattr(text, "kept_below", nothing_kept)
    tune(model, loss, WINDOWS, plan(epochs), None, "fp32")
    return model.trainable(), sum(computed)


def test_adapters_are_in_the_last_layers_only() -> None:
    names = adapted(2).trainable()
    assert {name.split(".layers.")[1].split(".")[0] for name in names} == {"3", "4"}
    assert frozen.frozen_layers(adapted(2)) == LAYERS - 2
    assert frozen.frozen_layers(adapted(0)) == frozen.frozen_layers(adapted(LAYERS)) == 0
    assert frozen.frozen_layers(tiny_text_model(SPLIT)) == 0


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("kind", "last", "options"),
    [
        ("llama", 2, {}),
        ("llama", 1, {}),  # the layer that goes on is the one that computes the wanted tokens only
        ("llama", 2, {"gradient_checkpointing": True, "lora_dropout": 0.0}),
        ("qwen3", 3, {}),
        ("gemma3", 1, {}),
        ("gpt2 without dropout", 2, {}),
    ],
)
def test_the_training_is_the_same(
    kind: str, last: int, options: dict[str, Any], apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout of the adapters included; every window passes the frozen layers once."""
    loss = MSL(MSLOptions(tau=1.3)) if apart else LML(LMLOptions())
    found, computed = trained(adapted(last, kind, apart, **options), monkeypatch, True, loss)
    loss = MSL(MSLOptions(tau=1.3)) if apart else LML(LMLOptions())
    expected, _ = trained(adapted(last, kind, apart, **options), monkeypatch, False, loss)
    assert computed == len(WINDOWS)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_are_kept_in_the_models_own_type(dtype: torch.dtype) -> None:
    """So nothing is rounded: the loss of a batch that was kept is, bit for bit, that of the batch as computed."""
    model = adapted(2)
    model.lm.to(dtype).eval()
    examples = Examples(model, WINDOWS)
    module = AnswerModel(model, LML(LMLOptions()))
    batch = collate([examples[i] for i in (3, 0, 7, 5)])
    whole = module(batch)["loss"]
    with frozen.kept_below(model, examples.lengths, 2, SilentReporter()) as module.below:
        assert module.below is not None
        losses = [module(batch)["loss"] for _ in range(2)]
        assert module.below.computed == 4
        assert module.below._table is not None
        assert module.below._table.dtype == dtype
        other = collate([examples[i] for i in (7, 3)])  # in another order, and beginning with more in common
        torch.testing.assert_close(module(other)["loss"], _without(module, other), rtol=1e-2, atol=0)
    assert losses[0] == losses[1] == whole
    module.below = None
    assert module(batch)["loss"] == whole


def _without(module: AnswerModel, batch: Any) -> torch.Tensor:
    module.below, kept = None, module.below
    try:
        return module(batch)["loss"]
    finally:
        module.below = kept


def test_a_shared_beginning_is_kept_with_every_window() -> None:
    model = adapted(2)
    model.lm.eval()
    begin = list(range(3, 23))
    rows = [[*begin, 30, 31], [*begin, 40], [*begin, 50, 51, 52]]
    lengths = torch.tensor([2, 1, 3])
    ids = torch.tensor([*begin, 30, 31, 40, 50, 51, 52])
    with frozen.kept_below(model, [len(row) for row in rows], 2, SilentReporter()) as below:
        assert below is not None
        first = below(torch.arange(3), ids, lengths, 20)
        assert first is not None
        again = below(torch.tensor([2, 1]), torch.tensor([*rows[2], 40]), torch.tensor([3, 1]), 20)
        torch.testing.assert_close(again, torch.cat([first[:20], first[23:26], first[22:23]]))
        alone = below(torch.tensor([1]), torch.tensor(rows[1]), torch.tensor([21]), 0)
        torch.testing.assert_close(alone, torch.cat([first[:20], first[22:23]]))
        assert below.computed == 3


@pytest.mark.parametrize(("kind", "free", "words"), [("gpt2", 2**60, "dropout"), ("llama", 1000, "TMPDIR")])
def test_what_cannot_be_kept_is_computed_and_said(
    kind: str, free: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    model, reporter = adapted(2, kind), Telling()
    with frozen.kept_below(model, [10], 2, reporter) as below:
        assert below is None
    (said,) = reporter.said
    assert said.startswith("the 3 layers below the adapters are computed in every epoch: ")
    assert words in said


def test_one_epoch_keeps_nothing_and_everything_is_as_before() -> None:
    model = adapted(2)
    with frozen.kept_below(model, [10], 1, SilentReporter()) as below:
        assert below is None
    layers = model.decoder.layers
    with frozen.kept_below(model, [10], 2, SilentReporter()):
        assert "forward" in layers[0].__dict__
    assert not any("forward" in layer.__dict__ for layer in layers)


def test_more_layers_than_there_are() -> None:
    from recbench.language.layers import check_count

    with pytest.raises(UsageError, match=r"^llm\.adapt_last=6 is more than the model has: 5 layers\.$"):
        check_count(PretrainedOptions(adapt_last=6), LAYERS)
    with pytest.raises(UsageError, match=r"^llm\.adapt_last=4 is more than the model has: 3 layers\.$"):
        check_count(PretrainedOptions(adapt_last=4, layers=3), LAYERS)


def test_a_projector_below_is_refused() -> None:
    request = Request(model="llara", llm="some/model", options={"llm": {"adapt_last": 2}})
    with pytest.raises(UsageError, match=r"llm\.adapt_last=2 cannot be used with llara: the projector"):
        resolve(request, "cpu", 1, "ml-100k", {})
