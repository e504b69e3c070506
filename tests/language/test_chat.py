"""``llm.template=chat`` from training to export: what recbench computes is what transformers computes of the turns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import recbench
from recbench.errors import UsageError
from recbench.prompts.templates import template

SOURCE = (
    "<bos>{% for m in messages %}<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<eot>\n{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
SMALL: dict[str, dict[str, Any]] = {
    "machine": {"threads": 1},
    "evaluate": {"validation_cases": 4, "cases": 6},
    "llm": {"template": "chat", "lora_dropout": 0.0},
    "decoder": {"beams": 40},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tools: SimpleNamespace) -> Path:
    """Some data, a chat model whose turns end in another token than its texts, and a plain one."""
    folder = tmp_path_factory.mktemp("chat")
    random, rows = np.random.default_rng(0), []
    for user in range(20):
        for step, item in enumerate(random.integers(12, size=9)):
            rows.append(f"{user},i{item},{60 * step + user},{'ABC'[item % 3]} film {item}")
    (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    for name in ("plain", "talks"):
        tools.save_model(folder / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "talks")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<bos>", "<turn>", "<eot>"]})
    tokenizer.chat_template = SOURCE
    tokenizer.save_pretrained(folder / "talks")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "talks")
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder / "talks")
    return folder


def start(place: Path, llm: str, naming: str | None = None, **more: Any) -> recbench.Run:
    given = {group: {**SMALL.get(group, {}), **more.get(group, {})} for group in {*SMALL, *more}}
    return recbench.run(
        "bigrec", loss="msl", decoder="constrained_beam", identifier=naming, llm=place / llm, dataset="csv",
        data_dir=place / "own.csv", device="cpu", epochs=1, train_samples=16, batch_size=8, set=given,
        runs=place / "runs", progress=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "naming", "temperature"), [("last", None, "loss"), ("all", None, 1.0), ("all", "index", 0.6)]
)
def test_scores_lists_and_the_exported_folder_are_those_of_transformers(
    place: Path, targets: str, naming: str | None, temperature: float | str
) -> None:
    train, decoder = {"targets": targets, "learning_rate": 0.05}, {"temperature": temperature}
    run = start(place, "talks", naming, train=train, decoder=decoder)
    trained = run.load()
    titles = list(trained.split.catalog.titles)
    history = titles[:3]
    words = template("chat", "own")
    shown = [f"<item_{item}>" for item in range(3)] if naming else list(map(words.quote, history))
    asked = words.before + words.between.join(shown) + words.after
    found, scores = trained.recommend([history], k=10)[0], trained.scores([history])[0]

    folder = run.export(place / f"out-{targets}-{naming}", merged=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert tokenizer.eos_token == "<eot>"
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    if targets == "last":
        assert trained.model.encoder.prompts(trained._cases([history])) == [prompt]
    else:  # items are tokenised apart; the text is the same
        (prompt,) = trained.model.encoder.prompts(trained._cases([history]))
        turns = [{"role": "user", "content": asked}]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        assert tokenizer.decode(prompt) == text

    rows = [json.loads(line) for line in (folder / "catalogue.jsonl").read_text().splitlines()]
    answers = [tuple(row["tokens"]) for row in rows]
    assert all(answer[-1] == tokenizer.eos_token_id for answer in answers)
    divisor = trained.model.trained_at if temperature == "loss" else temperature
    expected = [by_hand(model, prompt, answer, answers, divisor) for answer in answers]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    best = [titles[i] for i in np.argsort(-np.array(expected), kind="stable")[:10]]
    plain = np.argsort([-by_hand(model, prompt, answer, answers, 1.0) for answer in answers], kind="stable")[:10]
    assert naming or (best == [titles[i] for i in plain]) == (divisor == 1.0)  # one choice an item: always alike
    assert [item.title for item in found] == best

    space: dict[str, Any] = {}
    card = (folder / "README.md").read_text(encoding="utf-8")
    exec(card.partition("```python\n")[2].partition("```")[0], space)
    ids = [trained.split.catalog.ids[titles.index(title)] for title in history]
    assert [title for _, title in space["recommend"](folder, list(zip(ids, history, strict=True)), 10)] == best


def by_hand(
    model: Any, prompt: list[int], answer: tuple[int, ...], answers: list[tuple[int, ...]], temperature: float
) -> float:
    """The log-probability of a title over the tokens that can continue one."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1].double() / temperature
    total = 0.0
    for place, token in enumerate(answer):
        valid = sorted({other[place] for other in answers if other[:place] == answer[:place] and len(other) > place})
        total += float(logits[place, token] - torch.logsumexp(logits[place, valid], 0))
    return total if math.isfinite(total) else math.nan


def test_a_model_without_a_chat_template_is_one_sentence(place: Path) -> None:
    with pytest.raises(UsageError, match=r"^llm\.template=chat needs a model with a chat template") as refusal:
        start(place, "plain")
    assert "\n" not in str(refusal.value)
    with pytest.raises(UsageError, match=r"llm\.template='chat' is not valid; input should be 'titles' or 'paper'"):
        recbench.run("bigrec", loss="msl", set={"llm": {"template": "chat"}}, progress=False)
