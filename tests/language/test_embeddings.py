"""Texts to vectors, against one forward pass a text."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recbench.language.embeddings import text_means, title_states
from recbench.testing import tiny_split, tiny_text_model

TITLES = [*tiny_split().catalog.titles[:5], "A much longer title than all of the others, by far", ""]


@pytest.fixture(scope="module")
def model():
    return tiny_text_model()


def hidden(model, title: str) -> torch.Tensor:
    ids = model.encoder.tokenizer(title, add_special_tokens=False)["input_ids"] or [
        model.encoder.tokenizer.eos_token_id
    ]
    with torch.no_grad():
        return model.decoder(input_ids=torch.tensor([ids])).last_hidden_state[0]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_title_states(model, batch: int) -> None:
    expected = np.stack([hidden(model, title)[-1].numpy() for title in TITLES])
    found = title_states(model, TITLES, batch)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_text_means(model, batch: int) -> None:
    expected = np.stack([hidden(model, title).mean(dim=0).numpy() for title in TITLES])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert text_means(model, TITLES, batch) == pytest.approx(expected, abs=1e-5)


def test_no_text_is_no_row(model) -> None:
    assert title_states(model, []).shape == (0, 32)


@pytest.mark.parametrize("batch", [3, 64])
def test_a_tokenizers_first_token_is_read_and_not_counted(batch: int) -> None:
    """Llama's tokenizers begin every text with BOS: the states behind it are others, and its own is no title's."""
    from tokenizers.processors import TemplateProcessing

    model = tiny_text_model()
    tokenizer = model.encoder.tokenizer
    plain = title_states(model, TITLES, batch)
    first = tokenizer.convert_tokens_to_ids("a")
    tokenizer.bos_token = "a"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="a $0", special_tokens=[("a", first)])
    assert tokenizer("")["input_ids"] == [first]
    states = []
    for title in TITLES:
        ids = tokenizer(title, add_special_tokens=False)["input_ids"] or [tokenizer.eos_token_id]
        with torch.no_grad():
            states.append(model.decoder(input_ids=torch.tensor([[first, *ids]])).last_hidden_state[0, 1:].numpy())
    found = title_states(model, TITLES, batch)
    assert found == pytest.approx(np.stack([state[-1] for state in states]), abs=1e-5)
    assert abs(found - plain).max() > 1e-3
    means = np.stack([state.mean(axis=0) for state in states])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert text_means(model, TITLES, batch) == pytest.approx(means, abs=1e-5)
