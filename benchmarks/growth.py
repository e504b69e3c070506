"""How the cost of decoding grows: with beams, history, users and the size of the catalogue."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row, duel, timed
from peers import dict_trie, following
from work import BEAMS, TINY, Generate, agree, load, some_prompts


def made_titles(count: int, draw: np.random.Generator) -> list[str]:
    """Different titles of three to eight made-up words, a few of which are frequent."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(draw.choice(letters, draw.integers(2, 9))) for _ in range(5_000)])
    made: dict[str, None] = {}
    while len(made) < count:
        picks = words[draw.zipf(1.2, (count, 8)) % len(words)]
        ends = draw.integers(3, 9, len(picks))
        made |= {" ".join(row[:end]): None for row, end in zip(picks.tolist(), ends.tolist(), strict=True)}
    titles = list(made)[:count]
    draw.shuffle(titles)
    return titles


def curves(threads: int) -> list[Row]:
    """Ours with HF's scores against ``generate`` with a dict trie, tiny model: one quantity at a time."""
    from recbench.search.beam import BeamSearch

    model, split = load(TINY, threads, True)
    allowed = following(dict_trie(model.encoder.answers), model.encoder.tokenizer.eos_token_id)
    points = [("beams", n, {"beams": n}) for n in (1, 2, 5, 10, 20, 50, 100)]
    points += [("items of history", n, {"history": n}) for n in (1, 2, 5, 10)]
    points += [("users a batch", n, {"users": n}) for n in (1, 8, 32, 128, 256)]
    rows = []
    for what, n, sizes in points:
        users, beams = sizes.get("users", 8), sizes.get("beams", BEAMS)
        prompts = some_prompts(model, split, users, sizes.get("history", 0))
        none: list[set[int]] = [set() for _ in range(users)]
        search, theirs = BeamSearch(model, beams, True, 1.0), Generate(model, prompts, allowed, users, beams)
        if beams > 1:  # generate() with one beam is greedy: it never goes back to a title that it passed
            agree(theirs(), [[item for _, item in found] for found in search(prompts, none)], exactly=True)
        row = duel(f"growth: {n:,} {what}", lambda s=search, p=prompts, z=none: s(p, z), theirs)
        rows.append(row)
    return rows


def catalogues(threads: int, sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)) -> list[Row]:
    """Renormalised beam 10 for eight users over made-up titles, an untrained model, without a peer."""
    import torch

    from recbench.interfaces import Options
    from recbench.language import tiny
    from recbench.language.load import load_tokenizer
    from recbench.language.textmodel import TextModel
    from recbench.prompts.encode import Encoder
    from recbench.prompts.templates import template
    from recbench.search.beam import BeamSearch
    from recbench.spec.llm import TinyOptions
    from recbench.types import Catalog
    from recbench_plugins.backbones.bigrec import BIGRec

    load(TINY, threads, True)  # threads and allocator as elsewhere
    draw = np.random.default_rng(0)
    titles = made_titles(max(sizes), draw)
    with tempfile.TemporaryDirectory() as folder:
        tiny.train_tokenizer(titles[:20_000], 4096, Path(folder))
        tokenizer: Any = load_tokenizer(folder)
    torch.manual_seed(0)
    lm = tiny.build(TinyOptions(), tokenizer).eval()
    vocabulary = lm.get_input_embeddings().num_embeddings
    rows, free = [], [set[int]() for _ in range(8)]
    for size in sizes:
        catalog = Catalog(tuple(map(str, range(size))), tuple(titles[:size]))
        start = time.perf_counter()
        encoder = Encoder.create(tokenizer, template("titles", "items"), catalog, BIGRec(Options()), vocabulary)
        seconds = time.perf_counter() - start
        model = TextModel(lm, encoder, "cpu")
        histories = [[t for i in draw.integers(0, size, 10) for t in encoder.answers[i][:-1]] for _ in range(8)]
        search = BeamSearch(model, BEAMS, False, 0.0)
        search(histories, free)
        times = sorted(timed(lambda s=search, h=histories: s(h, free)) for _ in range(3))
        nodes = len(encoder.trie)
        print(f"growth: {size:,} titles: {times[1]:.3f} s, tokens and trie {seconds:.1f} s", flush=True)
        note = f"{nodes:,} nodes; tokenised and built in {seconds:.1f} s"
        rows.append({"name": f"growth: {size:,} titles, renormalised", "ours": times, "note": note})
    return rows
