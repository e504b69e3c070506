"""Progress on a terminal (a bar) and in a log (timestamped lines); both are :class:`recbench.interfaces.Reporter`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from recbench import processes
from recbench.interfaces import Reporter, SilentReporter

EVERY = 5.0  # seconds between two lines about what is done


@contextmanager
def chosen(progress: bool | Reporter) -> Iterator[Reporter]:
    """The reporter that was asked for: True is :func:`reporter`, False says nothing."""
    if progress is True:
        with reporter() as found:
            yield found
    else:
        yield SilentReporter() if progress is False else progress


@contextmanager
def reporter() -> Iterator[Reporter]:
    """The reporter for this process: a bar on a terminal, else lines on stderr; nothing but for the main process."""
    if not processes.is_main():
        yield SilentReporter()
        return
    found: LogReporter | BarReporter = BarReporter() if _shows_bars() else LogReporter(sys.stderr)
    try:
        yield found
    finally:
        found.close()


def _shows_bars() -> bool:
    """Whether a bar can be drawn: on a terminal, and in a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this process; that a library has imported ipykernel does not make it one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class LogReporter:
    """One line for each beginning and message and, at most every five seconds, for what is done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._watch = _Watch()
        self._said = 0.0

    def begin(self, name: str, total: int | None = None) -> None:
        """Close what was before, and name what begins; the same name again only tells how many parts it has."""
        if name == self._watch.name:
            self._watch.total = total
            return
        self.end()
        self._watch.begin(name, total)
        self._said = time.monotonic()
        self._write(name)

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Say it unless something was said just now, or nothing has a name yet."""
        self._watch.advance(done, total)
        now = time.monotonic()
        if self._watch.name and now - self._said >= EVERY:
            self._said = now
            left = self._watch.left()
            shown = "".join(f", {name} {value:.4g}" for name, value in values.items())
            self._write(f"  {self._watch.steps()}{shown}" + (f", {duration(left)} left" if left is not None else ""))

    def message(self, text: str) -> None:
        """Say it."""
        self._write(f"  {text}")

    def close(self) -> None:
        """Nothing more will be said."""
        self.end()

    def end(self) -> None:
        """Say how long it took, where it took long or had parts."""
        if self._watch.name and (self._watch.done or self._watch.seconds() >= 1):
            steps = f"{self._watch.steps()}, " if self._watch.done else ""
            self._write(f"  {self._watch.name}: {steps}{duration(self._watch.seconds())}")
        self._watch.name = ""

    def _write(self, text: str) -> None:
        print(f"{datetime.now():%H:%M:%S} {text}", file=self._stream, flush=True)


class BarReporter:
    """A bar with what is under way, how much is done, the loss and the time left; messages scroll above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._watch = _Watch()
        self._task: Any = None
        self._bar.start()

    def begin(self, name: str, total: int | None = None) -> None:
        """A new bar; the old one becomes a line. The same name again only tells how many parts it has."""
        if name == self._watch.name and self._task is not None:
            self._watch.total = total
            self._bar.update(self._task, total=total)
            return
        self.end()
        self._watch.begin(name, total)
        self._task = self._bar.add_task(name, total=total, values="")

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Move the bar."""
        self._watch.advance(done, total)
        if self._task is not None:
            left = self._watch.left()
            shown = [f"{name} {value:.4g}" for name, value in values.items()]
            shown += [f"{duration(left)} left"] if left is not None else []
            self._bar.update(self._task, completed=done, total=self._watch.total, values=", ".join(shown))

    def message(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Remove the bar."""
        self.end()
        self._bar.stop()

    def end(self) -> None:
        """The bar becomes a line."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
            if self._watch.done or self._watch.seconds() >= 1:
                steps = f"{self._watch.steps()}, " if self._watch.done else ""
                self.message(f"{self._watch.name}: {steps}{duration(self._watch.seconds())}")


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class _Watch:
    """How far something is."""

    def __init__(self) -> None:
        self.begin("", None)

    def begin(self, name: str, total: int | None) -> None:
        self.name, self.total, self.done = name, total, 0
        self._first = (0, time.monotonic())
        self._start = time.monotonic()

    def advance(self, done: int, total: int | None) -> None:
        if not self.done:  # the first step waits for what comes before all steps: it says nothing about their speed
            self._first = (done, time.monotonic())
        self.done, self.total = done, total if total is not None else self.total

    def steps(self) -> str:
        return f"{self.done:,} of {self.total:,}" if self.total else f"{self.done:,}"

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def left(self) -> float | None:
        """Seconds left at the pace since the first step; None where it cannot be known."""
        taken = self.done - self._first[0]
        if not self.total or taken <= 0:
            return None
        return (time.monotonic() - self._first[1]) / taken * max(self.total - self.done, 0)
