"""A pretrained model trains and ranks on CUDA, in bf16 and over 8 and 4 bits, as it does on the CPU in fp32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import recbench
from interactions import write_random
from recbench.language import tiny
from recbench.language.known import placed
from recbench.language.load import attach_lora, load_pretrained
from recbench.spec.llm import PretrainedOptions

SEVERAL = [("cpu", "bf16"), *(pytest.param("cuda", p, marks=pytest.mark.gpu) for p in ("fp32", "bf16"))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some data, and a Llama with random weights on disk."""
    folder = tmp_path_factory.mktemp("gpu")
    write_random(folder / "own.csv", 30, 20, 9, "Film {item} of {third}")
    tiny.train_tokenizer([f"Film {n} of {n % 3}" for n in range(20)], 300, folder / "llm")
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.LlamaConfig(vocab_size=300, intermediate_size=96, **shape)
    transformers.LlamaForCausalLM(config).save_pretrained(folder / "llm")
    return folder


def trained(
    place: Path, llm: str, device: str, precision: str, windows: int = 32, decoder: str = "exact", **more: Any
) -> Any:
    """Scores of every item for ten users, and their lists, after an epoch of MSL."""
    options: dict[str, Any] = {
        "llm": {"precision": precision, "lora_dropout": 0.0},
        "train": {"targets": "all", "learning_rate": 0.003},
        "evaluate": {"validation_cases": 4, "cases": 10},
        "machine": {"threads": 1},
    }
    run = recbench.run(
        "bigrec", loss="msl", decoder=decoder, llm=llm, dataset="csv", data_dir=place / "own.csv", device=device,
        epochs=1, train_samples=windows, batch_size=8, preset="cpu", runs=place / device / precision, progress=False,
        set={group: {**options.get(group, {}), **more.get(group, {})} for group in {*options, *more}},
    )  # fmt: skip
    model = run.load()
    titles = model.split.catalog.titles
    histories = [[titles[(7 * n + step) % len(titles)] for step in range(4)] for n in range(10)]
    return run, model.scores(histories), [[item.title for item in row] for row in model.recommend(histories, k=3)]


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Scores differ by less than ``tolerance`` of what distinguishes items."""
    assert np.abs(found - expected).max() < tolerance * expected.std()


@pytest.mark.parametrize(("device", "precision"), SEVERAL)
def test_training_and_ranking_are_the_cpus(place: Path, device: str, precision: str) -> None:
    expected_run, expected, lists = trained(place, str(place / "llm"), "cpu", "fp32")
    run, scores, found = trained(place, str(place / "llm"), device, precision)
    close(scores, expected, 0.02 if precision == "fp32" else 0.2)
    if precision == "fp32":
        assert found == lists
        assert (run.record.seeds[0].ranks == expected_run.record.seeds[0].ranks).mean() > 0.8
    if device == "cuda":
        assert run.record.environment["device"] == torch.cuda.get_device_name()


@pytest.mark.gpu
@pytest.mark.parametrize("decoder", ["constrained_beam", "grounding"])
def test_decoders_run_on_cuda(place: Path, decoder: str) -> None:
    first, second = (
        trained(place, str(place / "llm"), device, "fp32", decoder=decoder)[0].record.seeds[0].ranks
        for device in ("cpu", "cuda")
    )
    assert (first == second).mean() > 0.7


@pytest.mark.gpu
def test_smollm2_in_bf16_is_the_cpus(place: Path) -> None:
    if placed("smollm2-135m") is None:
        pytest.skip("smollm2-135m is not here: recbench llm add smollm2-135m")
    small = {"windows": 16, "train": {"learning_rate": 1e-4}}
    _, expected, lists = trained(place, "smollm2-135m", "cpu", "fp32", **small)
    _, scores, found = trained(place, "smollm2-135m", "cuda", "bf16", **small)
    close(scores, expected, 0.2)
    assert np.mean([bool({*a} & {*b}) for a, b in zip(found, lists, strict=True)]) > 0.8


@pytest.mark.gpu
@pytest.mark.parametrize(("bits", "least"), [(8, 0.99), (4, 0.9)])
def test_quantised_weights_load_and_train(place: Path, bits: int, least: float) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: the extra [quantized] has it")
    ids = torch.arange(40)[None] + 5
    whole = load_pretrained(str(place / "llm"), None, PretrainedOptions(), "cpu").eval()
    options = PretrainedOptions(bits=bits, lora_dropout=0.0)
    model = load_pretrained(str(place / "llm"), None, options, "cuda")
    assert getattr(model, f"is_loaded_in_{bits}bit")
    with torch.no_grad():
        expected, found = whole(ids).logits.flatten(), model(ids.cuda()).logits.float().cpu().flatten()
    assert float(torch.nn.functional.cosine_similarity(expected, found, dim=0)) > least
    adapted = attach_lora(model, options, []).train()
    adapted(ids.cuda(), labels=ids.cuda()).loss.backward()
    grown = [p.grad for n, p in adapted.named_parameters() if p.requires_grad and "lora_B" in n]
    assert grown
    assert all(g is not None and bool(g.isfinite().all()) for g in grown)
    run, scores, _ = trained(place, str(place / "llm"), "cuda", "bf16", llm={"bits": bits})
    assert np.isfinite(scores).all()
    assert run.record.seeds[0].ranks.shape == (10,)
