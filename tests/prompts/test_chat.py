"""Prompts as turns of a chat: token by token what transformers' ``apply_chat_template`` makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recbench.errors import RecbenchError, UsageError
from recbench.interfaces import Names, Options
from recbench.prompts import chat
from recbench.prompts.chat import chat_frame, close_turns
from recbench.prompts.encode import Encoder, name_trie
from recbench.prompts.names import shown_in_history, with_tokens
from recbench.prompts.templates import template
from recbench.testing.data import TitlesOnly
from recbench.types import Catalog

TITLES = ("Alien (1979)", "Aliens (1986)", "Café au lait", "The <turn> (2001)", "End<eot>")
CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<turn>system\nBe brief.<eot>\n{% endif %}"
    "<turn>{{ m.role }}\n{{ m.content }}<eot>\n{% endfor %}{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "a beginning, the date, trimmed words": (
        "<bos><turn>system<eot>{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}"
        "{% endif %}Today: {{ date_string }}\n{% for m in messages %}<turn>{{ m.role }}\n\n"
        "{{ m.content | trim }}<eot>{% endfor %}{% if add_generation_prompt %}<turn>assistant\n\n{% endif %}"
    ),
    "the assistant by another name, thoughts before the answer": (
        "<bos>{% for m in messages %}<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{% if loop.last and m.role == 'assistant' %}[think]\n\n[/think]\n\n{% endif %}{{ m.content }}<eot>\n"
        "{% endfor %}"
        "{% if add_generation_prompt %}<turn>model\n[think]\n\n[/think]\n\n{% endif %}"
    ),
    "no end of its own": (
        "{% for m in messages %}{% if m.role == 'user' %}<bos>[INST] {{ m.content }} [/INST]\n"
        "{% else %}{{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
    ),
}
ENDS = {name: "<|end|>" if name == "no end of its own" else "<eot>" for name in TEMPLATES}


@pytest.fixture
def tokenizer(tmp_path: Any) -> Any:
    from transformers import AutoTokenizer

    from recbench.language.tiny import train_tokenizer

    train_tokenizer([*TITLES[:3], template("chat", "x").before], 300, tmp_path)
    made = AutoTokenizer.from_pretrained(tmp_path)
    made.add_special_tokens({"additional_special_tokens": ["<bos>", "<turn>", "<eot>"]})
    return made


def encoder_of(tokenizer: Any, source: str, apart: bool = False) -> Encoder:
    tokenizer.chat_template = source
    catalog = Catalog(tuple("abcde"), TITLES)
    words = template("chat", "x")
    return Encoder.create(close_turns(tokenizer), words, catalog, TitlesOnly(Options()), len(tokenizer), apart=apart)


def turned(tokenizer: Any, *turns: str, **more: Any) -> list[int]:
    roles = ("user", "assistant")
    given = [{"role": role, "content": words} for role, words in zip(roles, turns, strict=False)]
    return tokenizer.apply_chat_template(given, tokenize=True, return_dict=False, date_string=chat.DAY, **more)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_prompt_and_answer_are_the_turns_of_apply_chat_template(tokenizer: Any, name: str, apart: bool) -> None:
    encoder = encoder_of(tokenizer, TEMPLATES[name], apart)
    assert tokenizer.eos_token == ENDS[name]
    words, history, target = encoder.template, [0, 2, 1], 1
    asked = words.before + words.between.join(words.quote(TITLES[i]) for i in history) + words.after
    (prompt,) = encoder._encode([history], [0])
    answer = encoder.answers[target]
    whole = turned(tokenizer, asked, words.quote(TITLES[target]))
    if not apart:  # apart, every title has the tokens of an answer, which a tokenizer may join with what is before it
        assert prompt.ids + list(answer[:-1]) == whole[: len(prompt.ids) + len(answer) - 1]
        if name != "no end of its own":
            assert prompt.ids == turned(tokenizer, asked, add_generation_prompt=True)
    full = tokenizer.decode(whole).replace(" <|end|>", "<|end|>")  # a space there is no part of the answer
    assert full in (text := tokenizer.decode(prompt.ids + list(answer)), text + "\n")
    for item, start in zip(prompt.items, prompt.starts, strict=False):
        title = encoder.answers[item][:-1]
        assert tuple(prompt.ids[start : start + len(title)]) == title
    assert len(prompt.starts) == (3 if apart else 0)
    assert encoder.item_of(answer) == target


@pytest.mark.parametrize("name", TEMPLATES)
def test_identifiers_and_questions_about_them_are_turns(tokenizer: Any, name: str) -> None:
    tokenizer.chat_template = TEMPLATES[name]
    names = Names(
        tuple(f"<a_{item // 2}><b_{item % 2}>" for item in range(5)), ("<a_0>", "<a_1>", "<a_2>", "<b_0>", "<b_1>")
    )
    grown, words = with_tokens(close_turns(tokenizer), names.tokens), template("chat", "x")
    catalog = Catalog(tuple("abcde"), TITLES)
    trie = name_trie(grown, words, catalog, names)
    plain = Encoder.create(grown, words, catalog, TitlesOnly(Options()), len(grown), trie=trie)
    rows = [answer[:-1] for answer in plain.answers]
    assert {answer[-1] for answer in plain.answers} == {grown.convert_tokens_to_ids(ENDS[name])}
    encoder = replace(plain, shown=shown_in_history(grown, words, names, rows, TITLES, "identifiers"))
    (prompt,) = encoder._encode([[3, 0, 2]], [0])
    asked = words.before + words.between.join(names.texts[item] for item in (3, 0, 2)) + words.after
    before, after = encoder.around("Which item is called ", "?")
    about = [*before, *grown(TITLES[0])["input_ids"], *after]
    more = {} if name == "no end of its own" else {"add_generation_prompt": True}
    for found, said in ((prompt.ids, asked), (about, f"Which item is called {TITLES[0]}?")):
        whole = turned(grown, said, **more)
        assert grown.decode(found) == grown.decode(whole)
        special = set(grown.all_special_ids)
        assert [token for token in found if token in special] == [token for token in whole if token in special]


def test_words_stay_text_whatever_they_spell(tokenizer: Any) -> None:
    encoder = encoder_of(tokenizer, CHATML)
    (prompt,) = encoder._encode([[3, 4]], [0])
    (plain,) = encoder._encode([[0, 1]], [0])
    for special in ("<turn>", "<eot>", "<bos>"):
        number = tokenizer.convert_tokens_to_ids(special)
        assert prompt.ids.count(number) == plain.ids.count(number)
    assert '"The <turn> (2001)", "End<eot>"' in tokenizer.decode(prompt.ids)
    for item, answer in enumerate(encoder.answers):
        assert answer.count(tokenizer.eos_token_id) == 1
        assert encoder.item_of(answer) == item


def test_every_day_has_the_same_prompts(tokenizer: Any) -> None:
    tokenizer.chat_template = "Today: {{ strftime_now('%d %B %Y') }} {% set d = strftime_now('%j') %}{{ d }}" + CHATML
    assert chat_frame(tokenizer).before.startswith(f"Today: {chat.DAY} {chat.DAY}<turn>system")


def test_a_token_that_takes_white_space_along(tokenizer: Any) -> None:
    from tokenizers import AddedToken

    greedy = [AddedToken("<|u|>", rstrip=True), AddedToken("<|a|>", lstrip=True, rstrip=True)]
    tokenizer.add_special_tokens({"additional_special_tokens": [*greedy, "<eot>"]})
    source = (
        "{% for m in messages %}{{ {'user': '<|u|>', 'assistant': '<|a|>'}[m.role] }}\n{{ m.content }} <eot>\n"
        "{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}"
    )
    encoder = encoder_of(tokenizer, source)
    (prompt,) = encoder._encode([[0]], [0])
    asked = encoder.template.before + encoder.template.quote(TITLES[0])
    answered = encoder.template.quote(TITLES[1])
    found = prompt.ids + list(encoder.answers[1][:-1])
    assert found == turned(tokenizer, asked, answered)[: len(found)]


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        (None, UsageError, "llm.template=chat needs a model with a chat template, which this one does not have"),
        ("{{ raise_exception('no') }}", RecbenchError, "The model's chat template fails with TemplateError: no."),
        ("{% for", RecbenchError, "The model's chat template fails with TemplateSyntaxError"),
        (
            "{% for x in range(10**12) %}{% endfor %}",
            RecbenchError,
            "The model's chat template fails with OverflowError",
        ),
        ("{{ cycler.__init__.__globals__.os }}", RecbenchError, "The model's chat template fails with SecurityError"),
        ("{{ messages[0].content }}", RecbenchError, "does not show one turn of a user and then one of an assistant"),
        ("{{ messages[1].content }}{{ messages[0].content }}", RecbenchError, "does not show one turn of a user and"),
        (CHATML.replace("m.content", "m.content ~ m.content"), RecbenchError, "does not show one turn of a user and"),
    ],
)
def test_what_is_no_chat_template_is_one_sentence(tokenizer: Any, source: str | None, error: type, says: str) -> None:
    tokenizer.chat_template = source
    with pytest.raises(error) as refusal:
        close_turns(tokenizer)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert type(refusal.value) is error


def test_a_tokenizer_that_reads_parts_differently_is_refused(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    tokenizer.chat_template = CHATML
    chat_frame(tokenizer)
    # something before the beginning of a text, as SentencePiece's space
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="A", prepend_scheme="first")
    with pytest.raises(RecbenchError, match="reads the turns of a chat differently in parts than as one text"):
        chat_frame(tokenizer)
