"""Small records of the site's tests, with hostile text where a record may hold text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from made_records import ITEMS, record_of, results
from recbench.results import Labels, RunRecord, examples, write
from recbench.types import Sequences

USERS, CASES = 40, 300
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
    users = np.sort(np.random.default_rng(0).integers(USERS, size=cases)).astype(np.int32)
    target = (np.arange(cases) % ITEMS).astype(np.int32)
    history = ((target[:, None] + 1 + np.arange(10)) % ITEMS).astype(np.int32)
    seen = results(
        [*map(ord, method + loss), seeds],
        target,
        hits,
        seeds,
        (("the model", "training", 100.0 * hits), ("lists", "decoding", 7.0)),
        invalid_share=0.125 if llm else None,
        validation=(0.1, 0.2, 0.15),
        best_epoch=2,
        losses=tuple((step, 5.0 / step) for step in range(10, 200, 10)),
        watched={"tau": 1.5} if loss == "msl" else {},
        course={"tau": ((10, 1.0), (100, None), (200, 1.5))} if loss == "msl" else {},
        started="2026-11-25T10:21:41+00:00",
        environment={"device": "cpu", "recbench": "0.7.0", "versions": {"torch": text or "2.13.0"}},
    )
    named = {"loss": loss, "llm": llm}
    parts = {part: {"name": name, "options": {}} for part, name in named.items() if name}
    sequences = Sequences(users=users, history=history, target=target, time=np.zeros(cases, np.int64))
    return record_of(
        f"{dataset}-{method}-{loss or 'none'}-{cases}",
        dataset,
        {"backbone": {"name": method, "options": {}}, "decoder": {"name": "topk", "options": {}}, **parts},
        users,
        target,
        seen,
        options={"noun": text},
        label=text or "at most 20 windows a user",
        distribution=text or "dist",
        dataset_label=text or dataset,
        labels=Labels(method=text or method, loss=text or loss, decoder="topk", llm=llm),
        budget={"epochs": text or "3"},
        policies={"namesakes": text or "numbered"},
        last=history[:, -1],
        examples=examples(sequences, titles or tuple(f"Film {i}" for i in range(ITEMS)), seen),
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
