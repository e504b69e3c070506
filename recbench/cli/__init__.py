"""The command line: the only user of click and rich. A command's module is imported when the command is called."""

from __future__ import annotations

import os

import click

import recbench
from recbench.cli.group import Root
from recbench.cli.signals import leave

COMMANDS = {
    "run": ("recbench.cli.run:run", "Train, rank and record a method, seed by seed."),
    "tune": ("recbench.cli.tune:tune", "Choose options on validation, and run the choice."),
    "suite": ("recbench.cli.suite:suite", "Run and report a grid of runs, such as the MSL paper's tables."),
    "diagnose": (
        "recbench.cli.diagnose:diagnose",
        "Draw what training does to logits and gradients: the MSL paper's figures.",
    ),
    "evaluate": ("recbench.cli.evaluate:evaluate", "Evaluate ranked lists that other code made, and keep a record."),
    "list": ("recbench.cli.list:list_", "List what is installed: backbones, losses, decoders, sources, data sets."),
    "describe": ("recbench.cli.describe:describe", "Show the options of a method, or of a group of --set."),
    "data": ("recbench.cli.data:data", "Audit a data set and print its facts; prepare a release's raw files."),
    "show": ("recbench.cli.show:show", "Show single cases of a run: prompt, target, top ten, rank."),
    "recommend": ("recbench.cli.recommend:recommend", "Recommend items for your own history."),
    "export": ("recbench.cli.export:export", "Export a tuned language model as a plain transformers folder."),
    "table": ("recbench.cli.table:table", "Print the local runs of a data set, best first."),
    "compare": ("recbench.cli.compare:compare", "Test the difference between runs."),
    "llm": ("recbench.cli.llm:llm", "List pretrained language models by name; add one to this machine."),
    "plugin": ("recbench.cli.plugin:plugin", "Create a plugin, check one, or list all."),
    "store": ("recbench.cli.store:store", "List the stored steps; remove those that no run needs."),
    "doctor": ("recbench.cli.doctor:doctor", "Check this machine, and show how to fix problems."),
    "completion": ("recbench.cli.completion:completion", "Print shell completion for bash, zsh or fish."),
    "leaderboard": ("recbench.cli.leaderboard:leaderboard", "Keep committed records, and build their pages."),
    "site": ("recbench.cli.site:site", "Build a static site from the committed records."),
}


@click.group(cls=Root, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(recbench.__version__, prog_name="recbench")
def cli() -> None:
    """One protocol for LLM-based sequential recommendation: any backbone x loss x decoder x data set."""


def main() -> None:
    """The entry point ``recbench``."""
    # pydantic would read the metadata of everything installed for plugins of its own, and fail where one is garbage
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        cli.main(prog_name="recbench")
    finally:
        leave()
