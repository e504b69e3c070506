"""The flags that say what to run, shared by the commands that run something."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from recbench.cluster import Workers
from recbench.errors import UsageError

if TYPE_CHECKING:
    from recbench.cluster.client import Cluster
    from recbench.interfaces import Reporter

_COUNT = click.IntRange(min=1)
_F = TypeVar("_F", bound=Callable[..., Any])


class Place(click.Path):
    """A path in which ``~`` is the user's home, even where no shell replaced it.

    Args:
        exists: refuse one that is not there, as a mistake of usage.
    """

    def __init__(self, exists: bool = False) -> None:
        super().__init__(path_type=Path)
        self.needed = exists

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A :class:`pathlib.Path`."""
        path = Path(value).expanduser()
        if self.needed and not path.exists():
            flag = f"{param.opts[0]} " if isinstance(param, click.Option) else ""
            raise UsageError(f"{flag}{value} does not exist.")
        return super().convert(path, param, ctx)


def folder_option(flag: str, default: str, text: str) -> Callable[[_F], _F]:
    """A flag that names a folder."""
    return click.option(flag, type=Place(), default=Path(default), show_default=True, help=text)


def _use_store(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        from recbench.steps.remote import VARIABLE, opened

        opened(Path(), value)  # says what is wrong with the address
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = value
        ctx.call_on_close(lambda: _restore(VARIABLE, before))


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


store_option = click.option(
    "--store",
    metavar="URL",
    expose_value=False,
    callback=_use_store,
    help="Also keep finished steps at an fsspec address (s3://bucket/folder), for hosts without a shared folder.",
)


def _use_author(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        from recbench.results.record import AUTHOR

        before = os.environ.get(AUTHOR)
        os.environ[AUTHOR] = value
        ctx.call_on_close(lambda: _restore(AUTHOR, before))


author_option = click.option(
    "--author",
    metavar="NAME",
    expose_value=False,
    callback=_use_author,
    help="Author of the record, shown on pages; or set RECBENCH_AUTHOR.  [default: none]",
)
_OPTIONS = (
    click.option("--model", metavar="NAME", help="Backbone: recbench list backbones."),
    click.option("--loss", metavar="NAME", help="Training loss.  [default: the backbone's]"),
    click.option(
        "--decoder", metavar="NAME", help="How a model's output becomes a ranking.  [default: the backbone's]"
    ),
    click.option(
        "--identifier", metavar="NAME", help="How items are written: recbench list identifiers.  [default: title]"
    ),
    click.option("--dataset", metavar="NAME", help="Data set.  [default: ml-100k]"),
    click.option("--data-dir", metavar="PATH", help="Folder or file of your own data."),
    click.option(
        "--llm", metavar="tiny|NAME|DIR|HUB_ID|FILE.gguf", help="Language model: recbench llm list.  [default: tiny]"
    ),
    click.option("--preset", metavar="cpu|paper", help="Budget.  [default: cpu without a GPU, else paper]"),
    click.option(
        "--seeds",
        metavar="N|A,B,...",
        help="Number of seeds (5 runs seeds 1 to 5), or a list of seeds (3,17,42; for one seed: 17,).  [default: 1]",
    ),
    click.option("--epochs", type=_COUNT, metavar="N", help="Training epochs."),
    click.option("--train-samples", type=click.IntRange(min=0), metavar="N", help="Training windows; 0 is all."),
    click.option("--batch-size", type=_COUNT, metavar="N", help="Windows per step, over all processes together."),
    click.option("--device", metavar="auto|cpu|cuda", help="Where to compute.  [default: auto]"),
    click.option(
        "--set", "sets", multiple=True, metavar="GROUP.OPTION=VALUE", help="Set any option: recbench describe."
    ),
    click.option(
        "--config", type=Place(exists=True), metavar="FILE.yaml", help="File with flags by name and options under set."
    ),
    folder_option("--runs", "runs", "Folder of runs."),
    store_option,
    author_option,
)


_WORKERS = (
    click.option("--workers", type=_COUNT, metavar="N", help="Worker processes on this machine, one step each."),
    click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers build the steps."),
    click.option("--gpus-per-worker", type=_COUNT, metavar="K", help="GPUs of each of the --workers."),
)


def worker_options(command: _F) -> _F:
    """Add the flags that ask for a cluster; the command gets them as ``workers``, None without them."""

    @functools.wraps(command)
    def with_workers(
        *args: Any, workers: int | None, scheduler: str | None, gpus_per_worker: int | None, **kwargs: Any
    ) -> Any:
        if workers and scheduler:
            raise UsageError("--workers starts a cluster on this machine, --scheduler joins another: choose one.")
        if gpus_per_worker and not workers:
            raise UsageError("--gpus-per-worker goes with --workers: say how many workers.")
        asked = Workers(workers or 0, scheduler, gpus_per_worker or 0) if workers or scheduler else None
        return command(*args, workers=asked, **kwargs)

    found: Any = with_workers
    for option in reversed(_WORKERS):
        found = option(found)
    return cast(_F, found)


@contextmanager
def started(workers: Workers | None, runs: Path, reporter: Reporter) -> Iterator[Cluster | None]:
    """The cluster that the flags ask for; None if they ask for none.

    Raises:
        UsageError: the cluster cannot be started or reached.
    """
    if workers is None:
        yield None
        return
    from recbench.cluster.client import cluster
    from recbench.files import reason
    from recbench.steps.remote import store_of

    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--runs {runs}: {reason(error)}.") from error
    with cluster(workers, store_of(runs), reporter) as found:
        yield found


def request_options(command: _F) -> _F:
    """Add the flags of :class:`recbench.spec.request.Request`, and ``--runs``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


no_examples = click.option(
    "--no-examples", is_flag=True, help="Leave out the example cases: ten users' histories, with titles."
)


def keeps(path: Path, no_examples: bool) -> bool:
    """Whether a record keeps its example cases when it is committed; its data set's licence may forbid it."""
    from recbench.data.catalog import shows_examples
    from recbench.results import read

    return not no_examples and shows_examples(read(path).spec["dataset"].get("name", ""))
