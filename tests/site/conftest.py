"""Small records of the site's tests, with hostile text where a record may hold text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recbench.results import (
    Cases,
    Dataset,
    Labels,
    PluginCode,
    RunRecord,
    SeedResult,
    StepRecord,
    examples,
    spec_hash,
    write,
)
from recbench.types import Sequences

ITEMS, USERS, CASES = 50, 40, 300
HOSTILE = (
    "<script>window.attacked=1</script><img src=x onerror='window.attacked=1'>",
    "</script><script>window.attacked=1</script>",
    '" onmouseover="window.attacked=1" x="',
    "[click](javascript:window.attacked=1) `code` **bold** | cell",
    r"\input{/etc/passwd} $x_1$ 50 % & \\ {",
    "\u202eright to left\u202c \u2066isolated \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "long " + "x" * 9_995,
    "line\nbreak\x00\x1b[31m\u2028separator",
)


def make(
    method: str,
    hits: float,
    seeds: int = 3,
    llm: str = "",
    loss: str = "",
    dataset: str = "ml-100k",
    cases: int = CASES,
    titles: tuple[str, ...] = (),
    text: str = "",
) -> RunRecord:
    """A run whose lists hold the target as often as ``hits`` says; ``text`` goes wherever a record takes any."""
    rng = np.random.default_rng([*map(ord, method + loss), seeds])
    users = np.sort(np.random.default_rng(0).integers(USERS, size=cases)).astype(np.int32)
    target = (np.arange(cases) % ITEMS).astype(np.int32)
    history = ((target[:, None] + 1 + np.arange(10)) % ITEMS).astype(np.int32)
    popularity = np.arange(ITEMS)
    results = []
    for seed in range(1, seeds + 1):
        ranks = np.where(rng.random(cases) < hits, rng.integers(1, 11, size=cases), 0)
        top = (target[:, None] + 1 + np.argsort(rng.random((cases, ITEMS - 1)), axis=1)[:, :10]) % ITEMS
        rows = np.flatnonzero(ranks)
        top[rows, ranks[rows] - 1] = target[rows]
        steps = (("the model", "training", 100.0 * hits + seed), ("lists", "decoding", 7.0))
        results.append(
            SeedResult(
                seed=seed,
                ranks=ranks,
                top=top,
                invalid_share=0.125 if llm else None,
                validation=(0.1, 0.2, 0.15),
                best_epoch=2,
                losses=tuple((step, 5.0 / step + seed) for step in range(10, 200, 10)),
                steps=tuple(StepRecord(role=r, kind="step", phase=p, seconds=s) for r, p, s in steps),
                watched={"tau": 1.5} if loss == "msl" else {},
                course={"tau": ((10, 1.0), (100, None), (200, 1.5))} if loss == "msl" else {},
                peak_memory_bytes=3 * 2**29,
                started="2026-11-25T10:21:41+00:00",
                environment={"device": "cpu", "recbench": "0.7.0", "versions": {"torch": text or "2.13.0"}},
            )
        )
    parts = {"loss": {"name": loss, "options": {}}} if loss else {}
    parts |= {"llm": {"name": llm, "options": {}}} if llm else {}
    spec = {
        "dataset": {"name": dataset, "options": {"protocol": "sliding", "noun": text}},
        "recommender": {
            "backbone": {"name": method, "options": {}},
            "decoder": {"name": "topk", "options": {}},
            **parts,
        },
        "evaluate": {"depth": 10},
    }
    sequences = Sequences(users=users, history=history, target=target, time=np.zeros(cases, np.int64))
    return RunRecord(
        run=f"{dataset}-{method}-{loss or 'none'}-{cases}",
        spec=spec,
        spec_hash=spec_hash(spec),
        command=f"recbench run --model {method} --seeds {seeds}",
        dataset=Dataset(name=dataset, label=text or dataset, sources={"ml-100k.inter": "ab" * 32}),
        labels=Labels(method=text or method, loss=text or loss, decoder="topk", llm=llm),
        budget={"epochs": text or "3"},
        policies={"namesakes": text or "numbered"},
        cases=Cases(
            digest=f"{cases:064d}",
            label=text or "at most 20 windows a user",
            users=users,
            cold=(popularity[target] == 0).astype(int),
            history_length=np.full(cases, 10),
            popularity=popularity[target],
            target=target,
            item_popularity=popularity,
            last=history[:, -1],
        ),
        plugins=(PluginCode(kind="decoder", name="topk", distribution=text or "dist", version="1.2", code="ab12cd34"),),
        seeds=tuple(results),
        examples=examples(sequences, titles or tuple(f"Film {i}" for i in range(ITEMS)), results),
    )


@pytest.fixture(scope="session")
def records() -> list[RunRecord]:
    """Five rows of one test set, the last two clearly worse, and one row of another test set."""
    return [
        make("llara", 0.60, llm="tiny", loss="msl"),
        make("bigrec", 0.58, llm="tiny", loss="lml"),
        make("sasrec", 0.56, loss="ce"),
        make("bert4rec", 0.25, loss="ce"),
        make("popularity", 0.1, seeds=1),
        make("popularity", 0.1, seeds=1, cases=CASES + 100),
    ]


@pytest.fixture(scope="session")
def hostile() -> list[RunRecord]:
    """A data set for each hostile text, which is everywhere in its two records, titles included."""
    found = []
    for number, text in enumerate(HOSTILE):
        titles = tuple(f"{text} {i}" for i in range(ITEMS))
        for method, hits in (("llara", 0.6), ("popularity", 0.2)):
            found.append(
                make(method, hits, loss="msl", dataset=f"hostile{number}", text=text, titles=titles, llm="tiny")
            )
    return found


@pytest.fixture(scope="session")
def keep(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, list[RunRecord]], Path]:
    """Writes records into a folder of their own."""

    def kept(name: str, made: list[RunRecord]) -> Path:
        folder = tmp_path_factory.mktemp(name) / "records"
        for record in made:
            write(record, folder / f"{record.run}.json")
        return folder

    return kept
