"""Every ``--help`` is what is committed in help.txt; ``RECBENCH_UPDATE=1`` writes the file anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from recbench.cli import cli

COMMITTED = Path(__file__).with_name("help.txt")
WIDTH = 80


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, groups before what they hold."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*words, name))


def texts() -> str:
    parts = []
    for words in commands(cli):
        shown = CliRunner().invoke(cli, [*words, "--help"], prog_name="recbench", terminal_width=WIDTH)
        assert shown.exit_code == 0, shown.output
        parts.append(f"$ {' '.join(['recbench', *words])} --help\n{shown.output}")
    return "\n".join(parts)


def test_every_help_is_the_committed_one() -> None:
    found = texts()
    if os.environ.get("RECBENCH_UPDATE"):
        COMMITTED.write_text(found, encoding="utf-8")
    assert found == COMMITTED.read_text(encoding="utf-8"), "RECBENCH_UPDATE=1 pytest tests/cli/test_help.py"


@pytest.mark.parametrize("words", commands(cli), ids=lambda words: " ".join(words) or "recbench")
def test_a_help_says_something_about_every_option_and_fits_a_terminal(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*words, "--help"], prog_name="recbench", terminal_width=WIDTH).output
    assert all(len(line) <= WIDTH for line in shown.splitlines())
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
