"""What a pretrained language model has seen of a data set before anybody tunes it.

Three questions, after Di Palma et al., "Do LLMs Memorize Recommendation Datasets? A Preliminary Study on MovieLens-1M",
SIGIR 2025 (titles and next items), and Oren et al., "Proving Test Set Contamination in Black Box Language Models", ICLR
2024 (order): Does it complete titles? Does it find lists of the data set more probable in their own order than in
another? Does it name the item that came next? The first only says that it knows the items. The others say that it has
seen the data set; but a history's order has a meaning, so only the order of the catalogue is evidence by itself. Where
most titles end in a year of release, titles and next items are also counted separately for items up to the median year
and after it: a model cannot have seen what was released after it was trained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench.errors import UsageError
from recbench.files import write_atomic
from recbench.interfaces import Reporter
from recbench.planning import plan
from recbench.spec.request import Request
from recbench.steps.executor import Serial
from recbench.steps.graph import graph
from recbench.steps.remote import store_of

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.types import Split

TITLES, LISTS, SHUFFLES, BATCH, CHUNK = 200, 100, 4, 16, 10
_YEAR = re.compile(r"\(((?:19|20)\d\d)\)(?: \(\d{1,3}\))?$")  # a namesake's number follows its year


def contamination(request: Request, runs: Path, out: Path | None, reporter: Reporter) -> tuple[dict[str, Any], Path]:
    """Ask an untuned language model what it knows of a data set.

    Args:
        request: names the data set and a pretrained language model.
        runs: folder of runs, whose steps are shared.
        out: folder of ``contamination.json``; ``runs/diagnose/contamination-DATASET-LLM`` if left out.
        reporter: progress.

    Returns:
        What was found, and the folder.

    Raises:
        UsageError: the language model is trained from scratch, or there is none, or an identifier is named.
    """
    from recbench.process import begin
    from recbench.steps.text import bare

    found = plan(request)
    llm = found.spec.recommender.llm
    if llm is None or llm.tiny:
        raise UsageError("--probe contamination asks what a pretrained model knows: name one with --llm.")
    if found.spec.recommender.identifier is not None:
        raise UsageError("--probe contamination asks about titles: leave out --identifier.")
    seed = request.seeds[0]
    begin(found.spec.machine)
    executor = Serial(store_of(runs), reporter)
    steps = graph(found.spec, seed)
    split = executor.value(steps.prepared)
    training = steps.model
    executor.run(training.needs.values())
    model, _ = bare(found.spec.recommender, training.setting, training.needs, executor)
    model.lm.to(found.spec.machine.device).eval()
    answer = {
        "dataset": found.spec.dataset.name,
        "llm": llm.called,
        "seed": seed,
        **probe(model, split, seed, reporter),
    }
    out = out or runs / "diagnose" / f"contamination-{found.spec.dataset.name}-{Path(llm.called).name}"
    write_atomic(out / "contamination.json", (json.dumps(answer, indent=1) + "\n").encode())
    return answer, out


def probe(model: TextModel, split: Split, seed: int, reporter: Reporter) -> dict[str, Any]:
    """The three questions.

    Args:
        model: an untuned language model, in evaluation mode.
        split: the data set.
        seed: of the shuffles.
        reporter: progress.
    """
    generator = np.random.default_rng(seed)
    titles, histories = split.catalog.titles, _histories(split)
    lists = [[titles[item] for item in history] for history, _ in histories]
    reporter.begin("contamination", 3)
    middle = _middle(titles)
    answer: dict[str, Any] = {"titles completed": _completed(model, split, middle)}
    reporter.advance(1, 3)
    orders = {"histories": lists}
    if all(identifier.isdecimal() for identifier in split.catalog.ids):  # otherwise their order means nothing
        ranked = sorted(range(len(titles)), key=lambda item: int(split.catalog.ids[item]))
        chunks = [ranked[start : start + CHUNK] for start in range(0, len(ranked) - CHUNK + 1, CHUNK)]
        orders["catalogue"] = [[titles[item] for item in chunks[n]] for n in _spread(len(chunks), LISTS)]
    answer["own order preferred"] = {name: _ordered(model, rows, generator) for name, rows in orders.items()}
    reporter.advance(2, 3)
    answer["next item named"] = _next_named(model, lists, [titles[target] for _, target in histories], middle)
    reporter.end()
    return answer


def _histories(split: Split) -> list[tuple[list[int], int]]:
    """The last training window of evenly spaced users: a full history and what came next."""
    train = split.train
    full = np.flatnonzero(train.histories().history_length == train.history.shape[1])
    last = {int(train.users[row]): int(row) for row in full[np.argsort(train.time[full], kind="stable")]}
    rows = [last[user] for user in sorted(last)]
    return [(train.history[rows[n]].tolist(), int(train.target[rows[n]])) for n in _spread(len(rows), LISTS)]


def _completed(model: TextModel, split: Split, middle: int | None) -> dict[str, Any]:
    """How many titles the model completes from the first half of their words; by popularity, and by year of release."""
    counts = np.bincount(split.train.target, minlength=len(split.catalog))
    titles = split.catalog.titles
    long = [item for item in np.argsort(-counts, kind="stable").tolist() if len(titles[item].split()) > 1]
    items = [long[n] for n in _spread(len(long), TITLES)]
    halves = []
    for item in items:
        words = titles[item].split()
        halves.append(" ".join(words[: (len(words) + 1) // 2]))
    said = _continued(model, halves)
    right = np.array([text.startswith(titles[item]) for item, text in zip(items, said, strict=True)])
    groups = {"all": np.ones(len(items), bool), "popular half": np.arange(len(items)) < len(items) / 2}
    groups["other half"] = ~groups["popular half"]
    groups |= _by_year([titles[item] for item in items], middle)
    return {name: _share(int(right[group].sum()), int(group.sum())) for name, group in groups.items()}


def _years(titles: Sequence[str]) -> Any:
    """[titles] the year of release at the end of each, NaN where there is none."""
    return np.array([float(found[1]) if (found := _YEAR.search(title)) else np.nan for title in titles])


def _middle(titles: Sequence[str]) -> int | None:
    """The median year; None unless most titles have one and some are newer."""
    years = _years(titles)
    if 2 * np.isfinite(years).sum() <= len(years):
        return None
    middle = int(np.nanmedian(years))
    return middle if (years > middle).any() else None


def _by_year(titles: Sequence[str], middle: int | None) -> dict[str, Any]:
    """Which of the titles are of that year or older, and which are newer."""
    years = _years(titles)
    return {} if middle is None else {f"up to {middle}": years <= middle, f"after {middle}": years > middle}


def _ordered(model: TextModel, lists: Sequence[Sequence[str]], generator: np.random.Generator) -> dict[str, Any]:
    """How often a list's own order is more probable than each of some shuffles of it."""
    from scipy.stats import binomtest

    first, chance, p = 0, 1 / (SHUFFLES + 1), 1.0
    for titles in lists:
        orders = [list(titles)] + [[titles[n] for n in generator.permutation(len(titles))] for _ in range(SHUFFLES)]
        values = _log_probabilities(model, ["\n".join(order) for order in orders])
        first += int(values[0] > values[1:].max())
    if lists:
        p = float(binomtest(first, len(lists), chance, alternative="greater").pvalue)
    return {**_share(first, len(lists)), "by chance": chance, "p": p}


def _next_named(
    model: TextModel, lists: Sequence[Sequence[str]], targets: Sequence[str], middle: int | None
) -> dict[str, Any]:
    """How often the line after a history is the item that came next, and how often the one of the user before."""
    from scipy.stats import binomtest

    beginnings = ["\n".join(titles) + "\n" for titles in lists]
    said = [
        text[len(beginning) :].split("\n")[0].strip()
        for beginning, text in zip(beginnings, _continued(model, beginnings), strict=True)
    ]
    others = [*targets[-1:], *targets[:-1]]
    own, other = ([a == b for a, b in zip(said, against, strict=True)] for against in (targets, others))
    years = _by_year(targets, middle)
    groups = {name: _share(int(np.sum(group & own)), int(group.sum())) for name, group in years.items()}
    only, never = (sum(a and not b for a, b in zip(*pair, strict=True)) for pair in ((own, other), (other, own)))
    p = float(binomtest(only, only + never, 0.5, alternative="greater").pvalue) if only + never else 1.0
    return {**_share(sum(own), len(said)), "of another user": sum(other) / max(len(said), 1), "p": p, **groups}


def _continued(model: TextModel, beginnings: Sequence[str]) -> list[str]:
    """The model's greedy continuation of each text."""
    from recbench.search.generate import generate

    tokenizer = model.encoder.tokenizer
    found = []
    for start in range(0, len(beginnings), BATCH):
        batch = beginnings[start : start + BATCH]
        prompts = [tokenizer(text)["input_ids"] for text in batch]
        for text, prompt, answers in zip(batch, prompts, generate(model, prompts, beams=1), strict=True):
            # decoding may write a text's own spaces another way: only what follows is taken from it
            known = tokenizer.decode(prompt, skip_special_tokens=True)
            whole = tokenizer.decode([*prompt, *answers[0][0]], skip_special_tokens=True)
            found.append(text + whole[len(known) :])
    return found


def _log_probabilities(model: TextModel, texts: Sequence[str]) -> np.ndarray:
    """[N] log-probability of each text, given its first token."""
    import torch

    tokenizer = model.encoder.tokenizer
    rows = [tokenizer(text)["input_ids"] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows]).to(
        model.head.weight.device
    )
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]).to(ids.device)
    with torch.inference_mode():
        logits = model.causal(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        each = logits.gather(2, ids[:, 1:, None]).squeeze(2) - logits.logsumexp(2)
    return (each * mask[:, 1:]).sum(1).double().cpu().numpy()


def _spread(size: int, most: int) -> list[int]:
    """At most ``most`` of ``size`` places, evenly spaced."""
    return sorted(set(np.linspace(0, size - 1, min(size, most)).round().astype(int).tolist()))


def _share(count: int, of: int) -> dict[str, Any]:
    return {"share": count / of if of else 0.0, "count": count, "of": of}


def sentences(answer: Mapping[str, Any]) -> list[str]:
    """What was found, a sentence each."""
    titles = answer["titles completed"]["all"]
    found = [
        f"{answer['llm']} completes {titles['count']} of {titles['of']} titles from the first half of their words"
        f"{_said(answer['titles completed'])}."
    ]
    for name, order in answer["own order preferred"].items():
        found.append(
            f"Of {order['of']} lists of the {name}, {order['count']} are most probable in their own order; by chance "
            f"{order['by chance'] * order['of']:.0f} would be (p {order['p']:.3f})."
        )
    named = answer["next item named"]
    found.append(
        f"After {named['of']} histories it names the next item {named['count']} times, and the next item of another "
        f"user {named['of another user'] * named['of']:.0f} times (p {named['p']:.3f}){_said(named)}."
    )
    return found


def _said(answer: Mapping[str, Any]) -> str:
    """The counts of the groups by year, as the end of a sentence."""
    named = [(name, share) for name, share in answer.items() if name.startswith(("up to ", "after "))]
    return "".join(f"; {share['count']} of {share['of']} {name}" for name, share in named)
