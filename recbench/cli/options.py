"""The flags that say what to run, shared by the commands that run something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_COUNT = click.IntRange(min=1)
_F = TypeVar("_F", bound=Callable[..., Any])


class Place(click.Path):
    """A path in which ``~`` is the user's home, even where no shell replaced it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A :class:`pathlib.Path`."""
        return super().convert(Path(value).expanduser(), param, ctx)


def folder_option(flag: str, default: str, text: str) -> Callable[[_F], _F]:
    """A flag that names a folder."""
    return click.option(flag, type=Place(), default=Path(default), show_default=True, help=text)


_OPTIONS = (
    click.option("--model", metavar="NAME", help="Backbone: recbench list backbones."),
    click.option("--loss", metavar="NAME", help="Training loss; default: the backbone's own."),
    click.option(
        "--decoder", metavar="NAME", help="How a model's output becomes a ranking; default: the backbone's own."
    ),
    click.option("--dataset", metavar="NAME", help="Data set.  [default: ml-100k]"),
    click.option("--data-dir", metavar="PATH", help="Folder or file of your own data."),
    click.option("--llm", metavar="tiny|DIR|HUB_ID|FILE.gguf", help="Language model.  [default: tiny]"),
    click.option("--preset", metavar="cpu|paper", help="Budget.  [default: cpu without a GPU, else paper]"),
    click.option(
        "--seeds",
        metavar="N|A,B,...",
        help="How many (5: 1 to 5), or which (3,17,42; a single one: 17,).  [default: 1]",
    ),
    click.option("--epochs", type=_COUNT, metavar="N", help="Training epochs."),
    click.option("--train-samples", type=click.IntRange(min=0), metavar="N", help="Training windows; 0 is all."),
    click.option("--batch-size", type=_COUNT, metavar="N", help="Windows in a step, over all processes together."),
    click.option("--device", metavar="auto|cpu|cuda", help="Where to compute.  [default: auto]"),
    click.option("--set", "sets", multiple=True, metavar="GROUP.OPTION=VALUE", help="Any option: recbench describe."),
    click.option("--config", type=Place(), metavar="FILE.yaml", help="Flags by name, options under set."),
    folder_option("--runs", "runs", "Folder of runs."),
)


def request_options(command: _F) -> _F:
    """Add the flags of :class:`recbench.spec.request.Request`, and ``--runs``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
