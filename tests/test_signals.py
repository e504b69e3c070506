"""Who listens hears of a signal, and of a cluster that asks the process to stop; who does not listen goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from recbench.signals import Signals, asked, numbers


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    asked.clear()


@pytest.mark.parametrize("number", numbers())
def test_the_first_signal_is_noted_and_the_second_does_what_it_did(number: int) -> None:
    seen: list[int] = []
    before = signal.signal(number, lambda number, frame: seen.append(number))
    try:
        one = Signals()
        with one.listening():
            assert not one.noted
            os.kill(os.getpid(), number)
            assert one.noted
            assert seen == []
            os.kill(os.getpid(), number)
        assert seen == [number]
    finally:
        signal.signal(number, before)


def test_what_validates_in_the_middle_of_a_training_leaves_the_stopping_to_the_training() -> None:
    training, validation = Signals(), Signals()
    with training.listening():
        asked.set()
        assert training.noted
        assert not validation.noted
    assert not training.noted
