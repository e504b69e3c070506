"""LLM-CF's chain-of-thought texts: asking for them, writing candidates, and choosing the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from recbench.errors import UsageError
from recbench.interfaces import Lessons, Reporter
from recbench.language.embeddings import text_means
from recbench.language.textmodel import TextModel
from recbench.seeds import child
from recbench.seeds.everything import seed_everything
from recbench.types import PAD, Ints, Split

STEPS = (
    "Sketch the user's tastes, as far as the history shows them.",
    "Describe the offered item and name items that are like it.",
    "Weigh how well the item and the user's tastes go together.",
    "Consider whether the user may be looking for something different.",
)
OUTCOMES = ("The user declined the item.", "The user took the item.")
SHORTEST = 10  # characters; a shorter text explains nothing


def question(history: Sequence[str], title: str, outcome: int) -> str:
    """What the model is asked about one decision: the history's titles, the offered one, and 1 taken or 0 declined."""
    steps = "\n".join(f"{n}. {step}" for n, step in enumerate(STEPS, 1))
    return (
        f"These items are a user's history, oldest first: {'; '.join(history)}.\n"
        f"Then the item {title} was offered. {OUTCOMES[outcome]}\n"
        f"Explain this decision step by step:\n{steps}\nFinish with the decision itself."
    )


def explain(model: TextModel, split: Split, rows: Ints, options: Any, seed: int, reporter: Reporter) -> Lessons:
    """Explanations of the training windows at ``rows``, as :meth:`LLMCF.lessons` returns them.

    For each window two decisions are explained: the target's being taken, and that an item drawn uniformly from the
    others was declined.
    """
    train, titles = split.train, split.catalog.titles
    draws = child(seed, "llm-cf declined items").integers(len(titles) - 1, size=len(rows))
    declined = (draws + (draws >= train.target[rows])).astype(np.int32)
    offered = np.stack([declined, train.target[rows]], axis=1)
    histories = [[int(i) for i in train.history[row] if i != PAD] for row in rows]
    decisions = [(m, outcome) for m in range(len(rows)) for outcome in (0, 1)]
    prompts = [question([titles[i] for i in histories[m]], titles[offered[m, o]], o) for m, o in decisions]
    with _writer(model, options.writer):
        reporter.begin(f"explain {len(prompts)} decisions", len(prompts))
        written = write(model, prompts, options, seed, reporter)
        vectors = text_means(model, titles)
        asked, outcomes = text_means(model, STEPS), text_means(model, OUTCOMES)
        flat = [text for candidates in written for text in candidates]
        reporter.begin(f"read {len(flat)} explanations")
        found = text_means(model, flat).reshape(len(decisions), options.candidates, -1)
    past = np.stack([vectors[items].mean(axis=0) for items in histories])
    past /= np.linalg.norm(past, axis=1, keepdims=True)
    cots = np.zeros((len(rows), 2, vectors.shape[1]), np.float16)
    texts = []
    for (m, outcome), candidates, embedded in zip(decisions, written, found, strict=True):
        scores = score(candidates, embedded, asked, past[m], outcomes[outcome])
        best = int(scores.mean(axis=1).argmax())
        cots[m, outcome] = embedded[best]
        texts.append(
            {
                "row": int(rows[m]),
                "user": split.users[int(train.users[rows[m]])],
                "history": [titles[i] for i in histories[m]],
                "offered": titles[int(offered[m, outcome])],
                "taken": bool(outcome),
                "text": candidates[best],
                "scores": dict(zip(SCORES, (round(float(s), 4) for s in scores[best]), strict=True)),
            }
        )
    return Lessons({"rows": rows, "declined": declined, "cots": cots, "titles": vectors.astype(np.float16)}, texts)


SCORES = ("coherence", "completeness", "relevance", "consistency")


def score(
    texts: Sequence[str],
    embedded: npt.NDArray[Any],
    steps: npt.NDArray[Any],
    history: npt.NDArray[Any],
    outcome: npt.NDArray[Any],
) -> npt.NDArray[np.float64]:
    """[n, 4] scores of candidates (the code's ``score_cot.py``): higher is better, 0 throughout for hardly any text.

    Coherence is the share of distinct words. The others are cosines: completeness with the steps asked for (their
    mean), relevance with the history, consistency with a sentence that states the outcome.

    Args:
        texts: n candidates.
        embedded: [n, width] of them; this and the following have rows of length 1.
        steps: [4, width].
        history, outcome: [width].
    """
    words = [text.lower().split() for text in texts]
    coherence = [len(set(found)) / max(len(found), 1) for found in words]
    parts = [coherence, (embedded @ steps.T).mean(axis=1), embedded @ history, embedded @ outcome]
    enough = np.array([len(text) >= SHORTEST for text in texts])
    return np.where(enough[:, None], np.stack(parts, axis=1), 0.0)


def write(model: TextModel, prompts: Sequence[str], options: Any, seed: int, reporter: Reporter) -> list[list[str]]:
    """``options.candidates`` sampled answers to each prompt; the same for the same seed."""
    import torch
    from transformers import GenerationConfig

    from recbench.search.generate import configured, left_padded

    tokenizer = model.encoder.tokenizer
    config = GenerationConfig(
        do_sample=True,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=1.0,
        num_return_sequences=options.candidates,
        max_new_tokens=options.tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    ids = [_ids(tokenizer, prompt) for prompt in prompts]
    order = np.argsort([len(row) for row in ids], kind="stable")
    answers: list[list[str]] = [[] for _ in prompts]
    seed_everything(seed, "llm-cf texts")
    with configured(model, config):
        for start in range(0, len(order), options.batch_size):
            chosen = order[start : start + options.batch_size]
            tokens, mask = left_padded(model, [ids[n] for n in chosen])
            with torch.inference_mode():
                out = model.causal.generate(input_ids=tokens, attention_mask=mask, generation_config=config)
            found = tokenizer.batch_decode(out[:, tokens.shape[1] :], skip_special_tokens=True)
            for place, n in enumerate(chosen):
                first = place * options.candidates
                answers[n] = [text.strip() for text in found[first : first + options.candidates]]
            reporter.advance(min(start + len(chosen), len(order)), len(order))
    return answers


def _ids(tokenizer: Any, prompt: str) -> list[int]:
    """The prompt as a turn of a chat if the tokenizer has a chat template, else as text to continue."""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": prompt}]
        prompt = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return tokenizer(f"{prompt}\n\nExplanation:\n")["input_ids"]


@contextmanager
def _writer(model: TextModel, writer: str) -> Iterator[None]:
    if writer == "tuned":
        yield
        return
    if not hasattr(model.lm, "disable_adapter"):
        raise UsageError(
            "backbone.writer=base switches a pretrained teacher's adapters off, and this teacher has none: "
            "use writer=tuned."
        )
    with model.lm.disable_adapter():
        yield
