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
        "What training does to logits and gradients: the MSL paper's figures.",
    ),
    "evaluate": ("recbench.cli.evaluate:evaluate", "A record of ranked lists that other code made."),
    "list": ("recbench.cli.list:list_", "What is installed: backbones, losses, decoders, sources, data sets."),
    "describe": ("recbench.cli.describe:describe", "The options of a method, or of a group of --set."),
    "data": ("recbench.cli.data:data", "Audit a data set and print its facts; prepare a release's raw files."),
    "show": ("recbench.cli.show:show", "Single cases of a run: prompt, target, top ten, rank."),
    "recommend": ("recbench.cli.recommend:recommend", "What a trained model recommends after a history of your own."),
    "export": ("recbench.cli.export:export", "A tuned language model as a plain transformers folder."),
    "table": ("recbench.cli.table:table", "The local runs of a data set, best first."),
    "compare": ("recbench.cli.compare:compare", "Test the difference between runs."),
    "llm": ("recbench.cli.llm:llm", "Pretrained language models by name; add one to this machine."),
    "plugin": ("recbench.cli.plugin:plugin", "Begin a plugin of your own, check one, list all."),
    "store": ("recbench.cli.store:store", "What is stored, and which runs need it; remove what none needs."),
    "doctor": ("recbench.cli.doctor:doctor", "What this machine has and lacks, and the command that mends it."),
    "completion": ("recbench.cli.completion:completion", "Completion of commands and flags for bash, zsh and fish."),
    "leaderboard": ("recbench.cli.leaderboard:leaderboard", "The committed records and their pages."),
    "site": ("recbench.cli.site:site", "The committed records as a static site."),
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
