"""Executors build each step once, needs first; what one caller takes, no other sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbench.interfaces import SilentReporter
from recbench.steps.estimate import Estimates
from recbench.steps.executor import Serial
from recbench.steps.store import META, Store


def diamond(plain: Callable[..., Any], log: list[str]) -> Any:
    data = plain({"name": "data"}, {}, log)
    left, right = (plain({"name": name}, {"data": data}, log) for name in ("left", "right"))
    return plain({"name": "top"}, {"left": left, "right": right}, log)


def built(log: list[str]) -> list[str]:
    return [line.split("'")[3] for line in log if line.startswith("build")]


def test_each_step_is_built_once_needs_first(tmp_path: Path, plain: Callable[..., Any]) -> None:
    log: list[str] = []
    top = diamond(plain, log)
    assert [step.facts["name"] for step in top.closure()] == ["data", "left", "right", "top"]
    found = Serial(Store(tmp_path), SilentReporter()).run([top])
    assert list(found) == [top.folder]
    assert built(log) == ["data", "left", "right", "top"]
    Serial(Store(tmp_path), SilentReporter()).run([diamond(plain, log)])
    assert len(built(log)) == 4


def test_what_is_there_needs_nothing_before_it(tmp_path: Path, plain: Callable[..., Any]) -> None:
    log: list[str] = []
    top = diamond(plain, log)
    Serial(Store(tmp_path), SilentReporter()).run([top])
    (tmp_path / top.needs["left"].folder).rename(tmp_path / ".gone")
    Serial(Store(tmp_path), SilentReporter()).run([top])
    assert len(built(log)) == 4
    states = {look.step.facts["name"]: look.state for look in Estimates(Store(tmp_path)).outlook([top])}
    assert states == {"data": "there", "left": "not needed", "right": "there", "top": "there"}
    (tmp_path / top.folder / "file").write_text("?")
    states = {look.step.facts["name"]: look.state for look in Estimates(Store(tmp_path)).outlook([top])}
    assert states == {"data": "there", "left": "to do", "right": "there", "top": "damaged"}


@pytest.mark.parametrize(
    ("work", "rough", "expected"),
    [
        (30.0, 0.1, (45.0, True)),
        (160.0, 0.1, (240.0, True)),
        (161.0, 0.1, (16.1, False)),  # 20 times the largest: most of what was measured may be validation
        (161.0, 6.0, (241.5, True)),
    ],
)
def test_much_smaller_steps_cannot_make_an_estimate_longer(
    tmp_path: Path,
    plain: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    work: float,
    rough: float,
    expected: tuple[float, bool],
) -> None:
    """2 and 8 units of work were measured in 7 and 8 seconds."""

    def paced(name: str, amount: float) -> Any:
        step = plain({"name": name})
        monkeypatch.setattr(step, "pace", lambda: ({"like": "this"}, amount, rough), raising=False)
        return step

    for amount, seconds in ((2.0, 7.0), (8.0, 8.0)):
        step = paced(str(amount), amount)
        Serial(Store(tmp_path), SilentReporter()).run([step])
        meta = tmp_path / step.folder / META
        meta.write_text(json.dumps({**json.loads(meta.read_text()), "seconds": seconds}))
    (look,) = Estimates(Store(tmp_path)).outlook([paced("other", work)])
    assert (look.seconds, look.measured) == (pytest.approx(expected[0]), expected[1])


def test_again_builds_everything_once(tmp_path: Path, plain: Callable[..., Any]) -> None:
    log: list[str] = []
    Serial(Store(tmp_path), SilentReporter()).run([diamond(plain, log)])
    again = Serial(Store(tmp_path), SilentReporter(), again=True)
    top = diamond(plain, log)
    again.run([top])
    again.forget()
    again.run([top, top.needs["left"]])
    again.value(top)
    assert built(log)[4:] == ["data", "left", "right", "top"]


def test_values_are_shared_until_one_is_taken(tmp_path: Path, plain: Callable[..., Any]) -> None:
    top = diamond(plain, [])
    one = Serial(Store(tmp_path), SilentReporter())
    shared = one.value(top)
    assert one.value(top) is shared
    assert one.value(top.needs["left"]) is one.value(top.needs["left"])
    taken = one.take(top)
    assert taken is shared  # nobody else holds on to it
    taken.append("changed")
    assert one.value(top) is not taken
    assert one.take(top) is not one.take(top)
    assert "changed" not in one.value(top)
    one.forget()
    assert one.value(top) == Serial(Store(tmp_path), SilentReporter()).value(top)


def test_a_failing_step_keeps_what_was_built_before_it(tmp_path: Path, plain: Callable[..., Any]) -> None:
    log: list[str] = []
    top = diamond(plain, log)
    right = top.needs["right"]
    right.build = lambda folder, work: (_ for _ in ()).throw(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        Serial(Store(tmp_path), SilentReporter()).run([top])
    assert built(log) == ["data", "left"]
    del right.build
    Serial(Store(tmp_path), SilentReporter()).run([top])
    assert built(log) == ["data", "left", "right", "top"]
