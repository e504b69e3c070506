"""``recbench data NAME``: prepare a data set and print what is in it; stores nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.group import LazyGroup
from recbench.cli.request import flag_of, set_layer
from recbench.cli.text import columns
from recbench.data.catalog import entry
from recbench.data.facts import fact_rows
from recbench.errors import UsageError
from recbench.progress import reporter
from recbench.spec.request import SET, Layer, combine

if TYPE_CHECKING:
    from recbench.diagnose.valid import ValidTokens


COMMANDS = {
    "facts": ("recbench.cli.data:facts", "Check a data set and print its facts; NAME alone means the same."),
    "prepare": ("recbench.cli.data_prepare:prepare", "Raw files of a release to a folder that recbench reads."),
}


class _Data(LazyGroup):
    """``recbench data NAME`` is ``recbench data facts NAME``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the first word for a data set unless it is a command."""
        if args and args[0] not in (*self.lazy, *ctx.help_option_names):
            args = ["facts", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Data, lazy=COMMANDS)
def data() -> None:
    """The facts of a data set, and the preparation of a release's raw files."""


@click.command("facts")
@click.argument("name")
@click.option("--data-dir", metavar="PATH", help="Folder or file of your own data.")
@click.option(
    "--llm", "llms", multiple=True, metavar="DIR|HUB_ID|FILE.gguf", help="Count under its tokenizer, too; repeatable."
)
@click.option("--set", "sets", multiple=True, metavar="dataset.OPTION=VALUE", help="An option of the data set.")
def facts(name: str, data_dir: str | None, llms: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Prepare the data set NAME, check it, and print its facts.

    Titles are counted in tokens of the tiny model's tokenizer, as a run makes it, and in those of every --llm. The exit
    status is 1 where the data is malformed or its split is refused.
    """
    from recbench.diagnose.valid import tokenized

    found = entry(name)
    flags = {"model": "bigrec", "dataset": name, **({"data_dir": data_dir} if data_dir is not None else {})}
    said = [Layer(flags, flag_of), _of_data(sets)]
    requests = {llm: combine([*said, Layer({"llm": llm}, flag_of)]) for llm in ("tiny", *llms)}
    with reporter() as progress:
        split, counts = tokenized(requests, progress)
    rows = [("data set", f"{name}: {found.title}"), ("source", found.source), ("licence", found.licence)]
    rows += [("preparation", " ".join(found.preparation.split())), *fact_rows(split.facts), *_density(split.facts)]
    for llm, (valid, seconds) in counts.items():
        rows += _valid_rows(llm, valid, seconds)
    rows += [(f"sha256 of {file}", digest) for file, digest in split.sources.items()]
    click.echo(columns(rows))


def _density(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Interactions over users times items, as in the MSL paper's Table 4; nothing where one of them is not known."""
    n, users, items = (facts.get(key) for key in ("interactions", "users", "items"))
    return [("density", f"{n / (users * items):.4%}")] if n and users and items else []


def _valid_rows(llm: str, valid: ValidTokens, seconds: float) -> list[tuple[str, str]]:
    choices = f"{valid.choices:.1%} of the positions, {valid.at_choices:,.2f} valid tokens there"
    return [
        (f"average valid tokens (AVT), {llm}", f"{valid.average:,.2f} a token of a training target"),
        (f"tokens with a choice, {llm}", choices if valid.choices else "none"),
        (f"valid first tokens, {llm}", f"{valid.first:,}"),
        (f"trie of titles, {llm}", f"built in {seconds:.2f} s, tokenising included"),
    ]


def _of_data(sets: tuple[str, ...]) -> Layer:
    found = set_layer(sets)
    for group, given in found.values[SET].items():
        if group != "dataset":
            raise UsageError(
                f"--set {group}.{next(iter(given))} does not apply: recbench data takes options of the data set only, "
                "such as dataset.core=5."
            )
    return found
