"""A small Llama on disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def save_model(folder: Path, seed: int = 0, **config: Any) -> Path:
    """A Llama of one layer with a tokenizer of its own."""
    import torch
    import transformers

    from recbench.language import tiny

    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    tiny.train_tokenizer(["A film (1995)", "Another film (1996)"], 300, folder)
    torch.manual_seed(seed)
    configuration = transformers.LlamaConfig(vocab_size=300, **shape, **{"tie_word_embeddings": True, **config})
    transformers.LlamaForCausalLM(configuration).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """Helpers for tests with folders of their own."""
    return SimpleNamespace(save_model=save_model)
