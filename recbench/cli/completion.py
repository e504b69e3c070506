"""``recbench completion``: the script that lets a shell complete recbench's commands and flags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from recbench.cli.group import COMPLETE
from recbench.errors import UsageError, did_you_mean

SHELLS = {
    "bash": 'eval "$(recbench completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(recbench completion zsh)"    # in ~/.zshrc, after compinit',
    "fish": "recbench completion fish | source   # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(SHELLS.values()))
@click.argument("shell", metavar=f"[{'|'.join(SHELLS)}]")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes recbench's commands, flags and file names. Put one of these lines into the file
    that your shell reads when it starts:"""
    if shell not in SHELLS:
        raise UsageError(f"There is no completion for {shell!r}: {did_you_mean(shell, SHELLS)}")
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "recbench", COMPLETE).source())
