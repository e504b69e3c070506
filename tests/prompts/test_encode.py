"""Titles as tokens: text stays text, and messages name items as people know them."""

from __future__ import annotations

import pytest

from recbench.errors import DataError
from recbench.prompts.encode import MAX_TITLE_TOKENS, Encoder, name_trie, token_ids
from recbench.prompts.templates import template
from recbench.types import PAD, Catalog

TITLES = ("Alien (1979)", "Aliens (1986)", "Caf\u00e9 au lait \u2603", "<|end|> Alien", "Ali<|pad|>en", "<|end|>")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    from recbench.language.tiny import train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TITLES[:3], 300, folder)
    return AutoTokenizer.from_pretrained(folder)


def test_ordinary_titles_keep_their_tokens_and_special_ones_become_text(tokenizer):
    texts = list(TITLES[:3])
    assert token_ids(tokenizer, texts) == tokenizer(texts, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    assert len(special) == 2
    for text, row in zip(TITLES, token_ids(tokenizer, list(TITLES)), strict=True):
        assert not special & set(row)
        assert tokenizer.decode(row) == text
    assert token_ids(tokenizer, []) == []


@pytest.mark.parametrize("name", ["titles", "paper"])
def test_a_title_may_spell_a_special_token(tokenizer, name):
    """In the answers and in the history: each title is one leaf, found again from its tokens."""

    class Backbone:
        def prompt(self, quoted, items, words):
            return [words.before + words.between.join(quoted) + words.after]

    catalog = Catalog(tuple("abcdef"), TITLES)
    encoder = Encoder.create(tokenizer, template(name, "x"), catalog, Backbone(), len(tokenizer))
    for item, answer in enumerate(encoder.answers):
        assert answer[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in answer[:-1]
        assert encoder.item_of(answer) == item
    assert encoder.item_of([tokenizer.eos_token_id]) == PAD
    (prompt,) = encoder._encode([[3, 4]], [0])
    assert not {tokenizer.eos_token_id, tokenizer.pad_token_id} & set(prompt.ids)


def test_messages_name_ids_and_titles(tokenizer):
    words = template("titles", "x")
    with pytest.raises(
        DataError, match=r"The tokens of item 'x7' \('B'\) are a prefix of those of item 'x9' \('B'\): titles need"
    ):
        name_trie(tokenizer, words, Catalog(("x1", "x7", "x9"), ("A", "B", "B")))
    long = "\U0001f600" * 400
    with pytest.raises(
        DataError,
        match=rf"The title of item 'x7' \('\U0001f600{{39}}…'\) has 1\d\d\d tokens, more than {MAX_TITLE_TOKENS}",
    ):
        name_trie(tokenizer, words, Catalog(("x1", "x7"), ("A", long)))


def test_words_of_the_data_set():
    assert (
        "a list of movies the user has watched before, please recommend a new movie"
        in template("paper", "ml-100k").before
    )
    assert template("paper", "own") == template("paper", "other", {"noun": "", "noun_one": "", "verb": ""})
    own = {"noun": "songs", "noun_one": "song", "verb": "listened to", "core": 5}
    assert (
        "a list of songs the user has listened to before, please recommend a new song"
        in template("paper", "own", own).before
    )
    assert "has seen the following movies before" in template("paper", "ml-100k", {"verb": "seen"}).before
    assert template("titles", "own", own) == template("titles", "own")
