"""What is measured: decoding, training steps, tries. Results are compared before anything is timed."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row, added, duel, memory, resident, timed
from peers import dense_mask, dict_trie, following, full_logit_loss, padded, padded_prefill

TINY = "tiny"
BEAMS = 10


@cache
def load(llm: str, threads: int, trained: bool) -> tuple[Any, Any]:
    """The model and its data (ml-100k); ``tiny`` trained by MSL on 6,400 windows, or any model as it is."""
    from recbench.interfaces import SilentReporter
    from recbench.planning import plan
    from recbench.process import begin
    from recbench.spec.request import Request
    from recbench.steps.executor import Serial
    from recbench.steps.graph import graph
    from recbench.steps.store import Store
    from recbench.steps.text import untuned

    options = {
        "train": {"samples": 6400, "epochs": 1},
        "evaluate": {"validation_cases": 50},
        "machine": {"threads": threads},
    }
    spec = plan(Request(model="bigrec", loss="msl", llm=llm, options=options)).spec
    begin(spec)
    executor, steps = Serial(Store(Path("runs/bench/steps")), SilentReporter()), graph(spec, 1)
    if trained:
        model = executor.take(steps.model)
    else:
        executor.run(steps.model.needs.values())
        model = untuned(spec.recommender, steps.ranked.setting, steps.model.needs, executor)[0]
    split = executor.value(steps.prepared)
    model.lm.eval()
    return model, split


def label(llm: str) -> str:
    from recbench.language.known import models

    name = models()[llm].title if llm in models() else Path(llm).stem
    return llm if llm == TINY else name.partition("-Instruct")[0]


def some_prompts(model: Any, split: Any, users: int, history: int = 0) -> list[list[int]]:
    """Prompts of evenly spaced test windows; with ``history``, of their newest so many items."""
    from recbench.types import PAD

    cases = split.test.take(np.linspace(0, len(split.test) - 1, users).astype(int))
    if history:
        kept = cases.history.copy()
        kept[:, :-history] = PAD
        cases = replace(cases, history=kept)
    return list(model.encoder.prompts(cases))


class Generate:
    """``transformers.generate`` with a prefix function, with transformers' own attention."""

    def __init__(self, model: Any, prompts: list[list[int]], allowed: Any, batch: int, beams: int = BEAMS) -> None:
        self.model, self.prompts, self.allowed, self.batch, self.beams = model, prompts, allowed, batch, beams

    def __call__(self) -> list[list[int]]:
        from recbench.search.generate import generate

        model, item = self.model, {a[:-1]: i for i, a in enumerate(self.model.encoder.answers)}
        config = model.causal.config
        own, config._attn_implementation = config._attn_implementation, "sdpa"
        try:
            parts = [self.prompts[i : i + self.batch] for i in range(0, len(self.prompts), self.batch)]
            found = [a for p in parts for a in generate(model, p, self.beams, self.beams, 1.0, self.allowed)]
        finally:
            config._attn_implementation = own
        return [[item[tuple(tokens)] for tokens, _ in answers] for answers in found]


def agree(found: list[list[int]], expected: list[list[int]], exactly: bool) -> float:
    """Share of ranks at which both have the same item; with ``exactly``, all must agree."""
    same = [a == b for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True)]
    share = sum(same) / len(same)
    assert share == 1.0 or not exactly, f"generate() finds other items at {1 - share:.1%} of the ranks"
    return share


def decoding(llm: str, users: int, threads: int, tries: str = "dict marisa", bf16: bool = False) -> list[Row]:
    """Beam search with HF's own scores against ``generate``; and the whole of ours against HF's prefill alone."""
    import torch

    from recbench.search.beam import BeamSearch
    from recbench_plugins.decoders.hf_constrained_beam import TokenTrie

    model, split = load(llm, threads, llm == TINY)
    answers = model.encoder.answers
    prompts, none = some_prompts(model, split, users), [set() for _ in range(users)]
    allowed = {
        "dict": following(dict_trie(answers), model.encoder.tokenizer.eos_token_id),
        "marisa": TokenTrie(answers).following,
    }
    what, slow = f"{label(llm)}{' in bf16' * bf16}, {users} users", llm != TINY
    batches = sorted({users, min(users, 8)})
    rows = []
    if bf16:
        model.lm.to(torch.bfloat16)
    try:
        as_hf, renormalised = BeamSearch(model, BEAMS, True, 1.0), BeamSearch(model, BEAMS, False, 0.0)
        ours = [[item for _, item in found] for found in as_hf(prompts, none)]
        for name in tries.split():
            for batch in batches:
                theirs, found = Generate(model, prompts, allowed[name], batch), []
                seconds = timed(lambda t=theirs, f=found: f.extend(t()))
                same = agree(found, ours, exactly=not bf16)
                title = f"{what}: beam 10, HF's scores, against generate with a {name} trie (its batch: {batch})"
                once = seconds if slow else None
                rows.append(duel(title, lambda: as_hf(prompts, none), theirs, once, users=users, same=same))
        title = f"{what}: beam 10, renormalised (what MSL trains), against HF's padded prefill alone"
        prefill = lambda: padded_prefill(model, prompts, BEAMS)  # noqa: E731 - both sides read alike
        once = timed(prefill) if slow else None
        rows.append(duel(title, lambda: renormalised(prompts, none), prefill, once, users=users))
    finally:
        if bf16:
            load.cache_clear()  # its weights have lost their last bits
    return rows


def exact(threads: int) -> list[Row]:
    """The exact top 10 against beam 10 on the trained model (the ratio is the price of exactness, below 1)."""
    from recbench.search.beam import BeamSearch
    from recbench.search.best_first import BestFirst

    model, split = load(TINY, threads, True)
    prompts, none = some_prompts(model, split, 64), [set() for _ in range(64)]
    beam, best = BeamSearch(model, BEAMS, False, 0.0), BestFirst(model, 10, 16)
    true = [{item for _, item in found[:10]} for found in best(prompts, none)]
    found = [{item for _, item in user} for user in beam(prompts, none)]
    share = sum(len(a & b) for a, b in zip(true, found, strict=True)) / (10 * len(true))
    row = duel("tiny, 64 users: exact top 10 against beam 10", lambda: best(prompts, none), lambda: beam(prompts, none))
    return [{**row, "note": f"the beam finds {share:.0%} of the true top 10"}]


def training(llm: str, threads: int, side: str = "", bf16: bool = False) -> list[Row]:
    """One MSL step, forward and backward, against dense masks over full logits; with ``side``, that one's memory."""
    import torch

    from recbench import registry
    from recbench.training.answers import AnswerModel
    from recbench.training.text import Examples, collate

    model, split = load(llm, threads, False)
    size = 32 if llm == TINY else 8
    windows = split.train.take(np.linspace(0, len(split.train) - 1, size).astype(int))
    examples = Examples(model, windows, choices=True)
    batch = collate([examples[i] for i in range(size)])
    loss = registry.get("loss", "msl").implementation(registry.get("loss", "msl").options(tau=2.0, variant="official"))
    module = AnswerModel(model, loss)
    whole = [(examples.prompts[i], examples.answers[i]) for i in range(size)]
    plain = padded(whole, model.encoder.tokenizer.pad_token_id)
    root, vocabulary = dict_trie(model.encoder.answers), model.head.weight.shape[0]
    masks = [dense_mask(root, answer, vocabulary) for answer in examples.answers] if side != "ours" else []
    half = torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    def ours() -> float:
        with half:
            value = module(batch)["loss"]
        value.backward()
        model.lm.zero_grad(set_to_none=True)
        return float(value.detach())

    def theirs() -> float:
        value = full_logit_loss(model.causal, plain, masks, 2.0)
        value.backward()
        model.lm.zero_grad(set_to_none=True)
        return float(value.detach())

    if side:
        print(json.dumps({"added": added({"ours": ours, "theirs": theirs}[side])}))
        return []
    values: list[float] = []
    spent = [timed(lambda way=way: values.append(way())) for way in (ours, theirs)]
    a, b = values
    assert abs(a - b) < (0.05 if bf16 else 1e-5) * abs(b), f"the losses differ: {a} and {b}"
    what = f"{label(llm)}: MSL step of {size} windows"
    if bf16:  # once: without bf16 units a CPU takes minutes
        name = f"{what}, ours in bf16, against dense masks over full logits in fp32"
        print(f"{name}: {spent[0]:.1f} s, {spent[1]:.1f} s", flush=True)
        return [{"name": name, "ours": spent[:1], "theirs": spent[1:], "ratio": spent[1] / spent[0]}]
    row = duel(f"{what} against dense masks over full logits", ours, theirs, samples=size)
    row["memory"] = {s: memory("--memory", s, "--llm", llm)["added"] for s in ("ours", "theirs")}
    tokens = sum(len(model.encoder.answers[int(t)]) for t in split.train.target[:10_000])
    trie = model.encoder.trie
    sparse = 4 * tokens + trie.first.nbytes + trie.token.nbytes + trie.item.nbytes
    masks_row = {
        "name": f"{label(llm)}: masks of 10,000 windows",
        "memory": {"ours": sparse, "theirs": tokens * vocabulary},
    }
    return [row, masks_row]


def tries(side: str = "", n: int = 1_000_000) -> list[Row]:
    """A million titles; each side in a separate process, to measure its memory."""
    if not side:
        found = {s: memory("--tries", s) for s in ("ours", "theirs")}
        row: Row = {"name": f"trie of {n:,} titles against nested dictionaries"}
        row |= {s: [found[s]["seconds"]] for s in found}
        row["memory"] = {s: found[s]["added"] for s in found}
        row["ratio"] = row["theirs"][0] / row["ours"][0]
        row["note"] = f"{found['ours']['nodes'] / 1e6:.1f} million nodes"
        print(f"{row['name']}: {row['ours'][0]:.2f} s, {row['theirs'][0]:.2f} s", flush=True)
        return [row]
    from recbench.prompts.trie import Trie

    draw = np.random.default_rng(0)
    lengths = draw.integers(8, 24, n)
    tokens = (draw.zipf(1.3, int(lengths.sum())) % 49_000 + 2).tolist()
    ends = np.cumsum(lengths)
    titles = list({(*tokens[e - k : e], 1): None for e, k in zip(ends.tolist(), lengths.tolist(), strict=True)})
    del tokens
    before = resident()
    made: list[Any] = []
    seconds = timed(lambda: made.append(Trie.build(titles) if side == "ours" else dict_trie(titles)))
    print(json.dumps({"seconds": seconds, "added": resident() - before, "nodes": len(made[0])}))
    return []
