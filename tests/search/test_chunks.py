"""A ranking that was interrupted, resumed or shared is the undisturbed one, bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbench.errors import RecbenchError, Stopped
from recbench.interfaces import Checkpoints, SilentReporter
from recbench.search import checked
from recbench.search.chunks import Task, joined, prompt_order, ranked
from recbench.testing import tiny_split, tiny_text_model
from recbench.types import PAD, Histories, Ranking
from recbench_plugins.decoders.constrained_beam import BeamOptions, ConstrainedBeam
from recbench_plugins.decoders.grounding import Grounding, GroundingOptions

ALWAYS, NEVER = 1e-9, 60.0  # minutes
N, SIZE, DEPTH, ITEMS = 23, 4, 3, 50
CASES = Histories(
    np.arange(N, dtype=np.int32), np.arange(2 * N, dtype=np.int32).reshape(N, 2), np.arange(N, dtype=np.int64)
)


class Log(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.seen: list[tuple[int, int | None]] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        self.seen.append((done, total))


class Killed(BaseException):
    """As kill -9: nothing gets to know of it."""


def kill() -> None:
    raise Killed


def ask() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def made(cases: Histories) -> Ranking:
    """A function of the cases alone; every third user has an invalid title, of three each."""
    items = (cases.history[:, :1] + np.arange(DEPTH)) % ITEMS
    scores = -np.arange(DEPTH) - cases.users[:, None] / 7
    wrong = int((cases.users % 3 == 0).sum())
    return Ranking(items.astype(np.int32), scores.astype(np.float32), wrong / (3 * len(cases)), 3 * len(cases))


def task(calls: list[int] | None = None, at: dict[int, Callable[[], None]] | None = None, **changes: Any) -> Task:
    """A ranking in which ``at[n]`` happens in the n-th call, between two batches."""
    asked = [] if calls is None else calls

    def rank(part: Histories, reporter: Any) -> Ranking:
        asked.append(int(part.users[0]))
        reporter.message(f"{len(asked)} at a time")
        reporter.advance(1, len(part))
        (at or {}).get(len(asked), lambda: None)()
        reporter.advance(len(part), len(part))
        return made(part)

    def check(found: Ranking, rows: Any) -> Ranking:
        return checked(found, CASES.take(rows), DEPTH, ITEMS, False, "decoder 'mine'", rows)

    order = np.arange(N)[::-1]
    return replace(Task(CASES, order, SIZE, DEPTH, rank, check), **changes)


def place(folder: Path, minutes: float = ALWAYS) -> Checkpoints:
    return Checkpoints(folder / "ranking-0123", minutes)


def same(one: Ranking, other: Ranking) -> None:
    assert np.array_equal(one.items, other.items)
    assert np.array_equal(one.scores, other.scores)
    assert (one.invalid_share, one.generated) == (other.invalid_share, other.generated)


WHOLE = made(CASES)


def test_chunks_are_the_whole() -> None:
    calls: list[int] = []
    log = Log()
    same(ranked(task(calls), log), WHOLE)
    assert calls == [22, 18, 14, 10, 6, 2]
    assert log.said == ["1 at a time"]
    assert log.seen == sorted(log.seen)
    assert log.seen[-1] == (N, N)
    none = task(cases=CASES.take(np.arange(0)), order=np.arange(0))
    assert ranked(none, Log()).items.shape == (0, DEPTH)


def test_shares_are_combined_exactly() -> None:
    rows = [np.arange(3), np.arange(3, 10)]
    parts = {n: made(CASES.take(r)) for n, r in enumerate(rows)}
    assert joined(parts, rows, DEPTH).invalid_share == float(Fraction(4, 30))
    each = {
        n: replace(p, invalid_share=share, generated=None)
        for (n, p), share in zip(parts.items(), (1 / 3, 2 / 7), strict=True)
    }
    assert joined(each, rows, DEPTH).invalid_share == 3 / 10
    half = {0: each[0], 1: replace(parts[1], invalid_share=None, generated=7)}
    assert (joined(half, rows, DEPTH).invalid_share, joined(half, rows, DEPTH).generated) == (1 / 10, None)
    none = {n: replace(p, invalid_share=None) for n, p in parts.items()}
    assert joined(none, rows, DEPTH).invalid_share is None


@pytest.mark.parametrize("at", [1, 3, 6])
@pytest.mark.parametrize("minutes", [ALWAYS, NEVER])
def test_a_signal_keeps_what_is_finished(at: int, minutes: float, tmp_path: Path) -> None:
    with pytest.raises(Stopped, match=f"stopped after {SIZE * (at - 1)} of 23 cases were ranked: run the same command"):
        ranked(task(at={at: ask}), Log(), place(tmp_path, minutes))
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    calls: list[int] = []
    log, again = Log(), place(tmp_path, minutes)
    same(ranked(task(calls), log, again), WHOLE)
    assert calls == [22, 18, 14, 10, 6, 2][at - 1 :]
    assert (f"continuing after {SIZE * (at - 1)} of 23 cases were ranked" in log.said) == (at > 1)
    assert (again.seconds > 0) == (at > 1)


def test_killed_again_and_again(tmp_path: Path) -> None:
    for at, left in ((2, 6), (3, 5), (1, 3)):
        calls: list[int] = []
        with pytest.raises(Killed):
            ranked(task(calls, {at: kill}), Log(), place(tmp_path))
        assert calls == [22, 18, 14, 10, 6, 2][6 - left :][:at]
    same(ranked(task(), Log(), place(tmp_path)), WHOLE)


def test_a_short_ranking_leaves_no_files(tmp_path: Path) -> None:
    """Nor does one that keeps none, which a signal ends as it always did."""
    ranked(task(), Log(), place(tmp_path, NEVER))
    ranked(task(), Log(), place(tmp_path, 0.0))
    assert not list(tmp_path.iterdir())
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    ranked(task(at={2: ask}), Log(), place(tmp_path, 0.0))
    signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]


def test_each_ranking_of_a_step_has_its_own_files(tmp_path: Path) -> None:
    one = place(tmp_path)
    same(ranked(task(), Log(), one), WHOLE)
    same(ranked(task(order=np.arange(N)), Log(), one), WHOLE)
    assert len(list(one.folder.iterdir())) == 12
    log, calls = Log(), []
    again = place(tmp_path)
    same(ranked(task(calls), log, again), WHOLE)
    same(ranked(task(calls, order=np.arange(N)), log, again), WHOLE)
    assert not calls


def changed(path: Path, **values: Any) -> None:
    with np.load(path) as arrays:
        kept = dict(arrays)
    with path.open("wb") as file:
        np.savez_compressed(file, **{**kept, **values})


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"step": "ranking-9999"}, "it belongs to another step"),
        ({"format": 0}, "another version of recbench wrote it"),
        ({"rows": np.arange(4)}, "it is of other cases"),
        ({"cases": "0" * 64}, "it is of other cases"),
        ({"items": np.full((4, 3), ITEMS)}, "it is damaged"),
        ({"items": np.zeros((4, 2), np.int32)}, "it is damaged"),
        ({"scores": np.full((4, 3), np.nan)}, "it is damaged"),
        ({"invalid": 2.0}, "it is damaged"),
        ({"seconds": -1.0}, "it is damaged"),
        ({"items": np.array([[Histories]] * 4)}, "it is damaged"),
    ],
)
def test_what_is_not_of_this_ranking_is_ignored(values: Any, why: str, tmp_path: Path) -> None:
    ranked(task(), Log(), one := place(tmp_path))
    changed(one.folder / "0-00003.npz", **values)
    calls: list[int] = []
    log = Log()
    same(ranked(task(calls), log, place(tmp_path)), WHOLE)
    assert calls == [10]
    assert log.said[0].startswith(f"the checkpoint {one.folder / '0-00003.npz'} is ignored: {why}")


def test_damaged_files_are_ignored(tmp_path: Path) -> None:
    ranked(task(), Log(), one := place(tmp_path))
    path = one.folder / "0-00003.npz"
    content = path.read_bytes()
    for broken in (b"", b"garbage", content[: len(content) // 2]):
        path.write_bytes(broken)
        calls: list[int] = []
        same(ranked(task(calls), Log(), place(tmp_path)), WHOLE)
        assert calls == [10]


def test_a_disk_that_refuses_does_not_end_a_ranking(tmp_path: Path) -> None:
    (tmp_path / "ranking-0123").write_text("in the way")
    log = Log()
    same(ranked(task(), log, place(tmp_path)), WHOLE)
    assert len([text for text in log.said if text.startswith("no checkpoint is written")]) == 1
    with pytest.raises(RecbenchError, match="stopped without keeping what was ranked"):
        ranked(task(at={2: ask}), Log(), place(tmp_path))


def test_a_wrong_case_is_named_by_its_number() -> None:
    def rank(part: Histories, reporter: Any) -> Ranking:
        found = made(part)
        found.items[part.users == 9] = PAD
        return found

    with pytest.raises(RecbenchError, match=r"empty place, case 9\."):
        ranked(task(rank=rank), Log())


# ---- decoders -----------------------------------------------------------------------------------------------------


def of_model(decoder: Any, model: Any, size: int) -> Task:
    cases = tiny_split().test.histories()
    return Task(
        cases,
        prompt_order(model, cases),
        size,
        5,
        rank=lambda part, reporter: decoder.rank(model, part, 5, True, reporter),
        check=lambda found, rows: checked(found, cases.take(rows), 5, len(tiny_split().catalog), True, "it", rows),
    )


@pytest.mark.parametrize(
    "make", [lambda: ConstrainedBeam(BeamOptions(batch_size=4)), lambda: Grounding(GroundingOptions(batch_size=4))]
)
def test_chunks_of_whole_batches_are_what_a_decoder_makes_of_all(make: Any) -> None:
    """Sorted before they are divided, cases meet the same others in a batch as in one call."""
    model, cases = tiny_text_model(), tiny_split().test.histories()
    whole = make().rank(model, cases, 5, True, SilentReporter())
    same(ranked(of_model(make(), model, 4), Log()), replace(whole, scores=whole.scores.astype(np.float32)))


def test_grounding_embeds_the_catalogue_once_for_the_weights_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    embed = Grounding._embed
    monkeypatch.setattr(
        Grounding, "_embed", lambda self, model, titles: asked.append(len(titles)) or embed(self, model, titles)
    )
    model, decoder = tiny_text_model(), Grounding(GroundingOptions(batch_size=4))
    all_of_them = len(tiny_split().catalog)
    first = ranked(of_model(decoder, model, 4), Log())
    assert asked.count(all_of_them) == 1
    optimizer = torch.optim.AdamW(model.lm.parameters(), lr=0.1, fused=True)
    for parameter in model.lm.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    second = ranked(of_model(decoder, model, 4), Log())
    assert asked.count(all_of_them) == 2
    same(second, ranked(of_model(Grounding(GroundingOptions(batch_size=4)), model, 4), Log()))
    assert not np.array_equal(first.scores, second.scores)
