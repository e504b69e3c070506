"""``recbench data``: prepare a data set, print what is in it and what is wrong with it; stores nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recbench import registry
from recbench.cli.group import LazyGroup
from recbench.cli.request import flag_of, set_layer
from recbench.cli.text import columns
from recbench.data.catalog import datasets, entry
from recbench.errors import DataError, UsageError, did_you_mean
from recbench.files import explained, read_json
from recbench.progress import reporter
from recbench.spec.request import SET, Layer, combine

if TYPE_CHECKING:
    from recbench.diagnose.audited import Audited
    from recbench.diagnose.valid import ValidTokens
    from recbench.pages.blocks import Block

FILES = (".csv", ".tsv", ".parquet", ".inter", ".item", ".gz", ".zip")
"""How the name of a file of data may end: no data set of datasets.yaml is called so."""
COMMANDS = {
    "audit": (
        "recbench.cli.data:audit",
        'Print the facts of a data set, and any leaks. "recbench data NAME" does the same.',
    ),
    "cases": ("recbench.cli.data_cases:cases", "Write the test cases and the training windows, for your own code."),
    "prepare": (
        "recbench.cli.data_prepare:prepare",
        "Turn the raw files of a release into a folder of data.",
    ),
}


class _Data(LazyGroup):
    """``recbench data NAME`` is ``recbench data audit NAME``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Treat the first word as a data set unless it is a command."""
        if args and args[0] not in (*self.lazy, *ctx.help_option_names):
            args = ["audit", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Data, lazy=COMMANDS)
def data() -> None:
    """Audit a data set, or prepare the raw files of a release."""


@click.command("audit")
@click.argument("words", nargs=-1, required=True, metavar="NAME|DIR|FILE")
@click.option("--data-dir", metavar="PATH", help="Folder or file of your own data.")
@click.option(
    "--llm",
    "llms",
    multiple=True,
    metavar="NAME|DIR|HUB_ID|FILE.gguf",
    help="Also count tokens with its tokenizer; repeatable.",
)
@click.option("--set", "sets", multiple=True, metavar="dataset.OPTION=VALUE", help="An option of the data set.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
@click.option(
    "--card",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write NAME.md and NAME.png to.",
)
def audit(
    words: tuple[str, ...],
    data_dir: str | None,
    llms: tuple[str, ...],
    sets: tuple[str, ...],
    form: str,
    card: Path | None,
) -> None:
    """Prepare the data set NAME, audit it, and print its facts; "data audit NAME" and "data NAME" are the same.

    NAME may also be a folder in the format of the MSL release, a folder that "data prepare" wrote, or a file of
    interactions. Leave out --data-dir if the data set NAME is in a folder of that name.

    Tokens are counted with the tiny model's tokenizer, built as in a run, and with that of each --llm. The exit status
    is 1 if the data is malformed, or if the test set leaks into training.
    """
    from recbench.diagnose.audited import audited
    from recbench.diagnose.card import audit_blocks, write_card
    from recbench.pages.markdown import blocks_as_markdown

    name, data_dir = _named(words, data_dir)
    entry(name)
    flags = {"model": "bigrec", "dataset": name, **({"data_dir": data_dir} if data_dir is not None else {})}
    said = [Layer(flags, flag_of), _of_data(sets)]
    requests = {llm: combine([*said, Layer({"llm": llm}, flag_of)]) for llm in ("tiny", *llms)}
    with reporter() as progress:
        found = audited(requests, progress)
    if form == "json":
        click.echo(json.dumps(found.plain(), ensure_ascii=False, indent=1))
    else:
        click.echo(_text(found) if form == "text" else blocks_as_markdown(audit_blocks(found)))
    if card is not None:
        with explained(f"Writing the card to {card}"):
            written = write_card(found, card)
        click.echo(f"card: {written[0]}, {written[1]}", err=True)
    if found.found:
        more = f" ({len(found.found) - 1} more above)" if len(found.found) > 1 else ""
        raise DataError(found.found[0] + more)


def _named(words: Sequence[str], data_dir: str | None) -> tuple[str, str | None]:
    """The data set and its folder or file."""
    words = words[1:] if len(words) > 1 and words[0] == "audit" else words
    if len(words) > 1:
        hint = did_you_mean(words[0], COMMANDS)
        said = f"recbench data takes one data set, not {', '.join(words)}"
        raise UsageError(f"{said}; {hint}" if hint.startswith("did you mean") else f"{said}.")
    (word,) = words
    if word in datasets() or word in registry.names("source"):
        released = word in datasets() and datasets()[word].raw
        there = _held(Path(word)) if released and data_dir is None else None
        return (there, word) if there else (word, data_dir)
    if not os.path.exists(word):  # never an OSError
        if "/" in word or os.sep in word or word.lower().endswith(FILES):
            raise UsageError(f"There is no file or folder {word!r}.")
        return word, data_dir
    if data_dir is not None:
        raise UsageError(f"Name the data once: {word} is a folder or file, and --data-dir names another.")
    return _held(Path(word)) or ("prepared" if os.path.isdir(word) else "csv"), word


def _held(folder: Path) -> str | None:
    """The data set whose format a folder has; None if it has neither that of ``data prepare`` nor that of a release."""
    from recbench.data.raw.folder import INTERACTIONS, MANIFEST

    if os.path.isfile(folder / INTERACTIONS):  # never an OSError
        try:
            name = read_json(folder / MANIFEST)["name"]
            return name if datasets()[name].source == "parquet" else "parquet"
        except (OSError, ValueError, KeyError, TypeError):
            return "parquet"  # reading the folder says what is wrong with it
    if os.path.isfile(folder / "test.csv"):
        named = datasets().get(folder.name)
        return named.name if named and named.raw and named.source == "prepared" else "prepared"
    return None


def _text(found: Audited) -> str:
    """For a terminal: facts in two columns, then the tables."""
    from recbench.data.protocols import WORDS
    from recbench.diagnose.card import counts_blocks, preparation_rows

    rows = [("data set", f"{found.entry.name}: {found.entry.title}"), *preparation_rows(found)]
    rows.append(("density", f"{found.profile.density:.4%}"))
    for part, (first, last) in found.dates().items():
        rows.append((f"dates of {WORDS[part]} targets", f"{first} to {last}"))
    for llm, valid in found.tokens.items():
        rows += _valid_rows(llm, valid, found.seconds[llm])
    rows += [(f"sha256 of {file}", digest) for file, digest in found.split.sources.items()]
    leaks = ["", f"leaks: {'none' if not found.found else len(found.found)}", *(f"  {text}" for text in found.found)]
    return "\n".join([columns(rows), *(text for block in counts_blocks(found) for text in _lines(block)), *leaks])


def _lines(block: Block) -> list[str]:
    from recbench.pages.blocks import Heading, Paragraph, Table

    match block:
        case Heading(_, text):
            return ["", text]
        case Table(header, rows, _):
            return [columns([header, *rows] if len(header) > 2 else rows, "  ")]
        case Paragraph(_):  # for the page
            return []
    raise AssertionError(block)


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
