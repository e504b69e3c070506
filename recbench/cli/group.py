"""Groups whose commands are imported on first use, and what a person sees when something goes wrong."""

from __future__ import annotations

import importlib
import os
import select
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

from recbench import processes
from recbench.cli.signals import stopping
from recbench.errors import RecbenchError, Stopped, did_you_mean
from recbench.memory import RAN_OUT, ran_out

CLOSED = 141
"""The exit code of a program whose output is no longer read, as shells report SIGPIPE."""
COMPLETE = "_RECBENCH_COMPLETE"
"""The variable by which the script of ``recbench completion`` asks for completions."""


class LazyGroup(click.Group):
    """Commands as ``{name: ("module:attribute", one line of help)}``: help needs none of the modules."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order given."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for an unknown name."""
        if args and args[0] not in self.lazy and not args[0].startswith("-"):
            raise click.UsageError(f"Unknown command {args[0]!r}: {did_you_mean(args[0], self.lazy)}", ctx)
        return super().resolve_command(ctx, args)


class Root(LazyGroup):
    """The outermost group: turns every failure into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would print an empty line on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            keeps = ctx.invoked_subcommand in ("run", "tune", "suite", "diagnose", "leaderboard")
            raise _Interrupted("; finished work is kept, and the same command continues" if keeps else "") from None
        except BrokenPipeError as error:  # click would call sys.exit, which only plugins do
            if not _nobody_reads():
                raise RecbenchError(f"{error.strerror}.") from error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush has a place to go
            raise click.exceptions.Exit(CLOSED) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and leave the process with an exit code: 0, 1 (it failed), 2 (wrong request), 75 (stopped by a signal,
        continues when run again), 130 (interrupted) or 141 (its output is no longer read). Torchrun returns 1 for any
        code but 0 of its processes."""

        def action() -> Any:
            return super(Root, self).main(
                args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra
            )

        if not standalone_mode:
            return action()
        if asked := os.environ.get(COMPLETE):  # by the shell, after each press of the tab key
            sys.exit(shell_complete(self, {}, prog_name or "recbench", COMPLETE, asked))
        sys.exit(_guarded(action))


def _nobody_reads() -> bool:
    """Whether the pipe that stdout goes to is closed at its other end, as by ``recbench list | head -1``."""
    watched = select.poll()
    watched.register(sys.stdout.fileno())
    return any(event & select.POLLERR for _, event in watched.poll(0))


class _Interrupted(click.ClickException):
    exit_code = 130

    def __init__(self, consequence: str) -> None:
        super().__init__(f"interrupted{consequence}")


def _guarded(action: Callable[[], Any]) -> int:
    try:
        with stopping():
            code = action()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except click.Abort:
        return _complain("interrupted", 130)
    except Stopped as error:
        return _complain(str(error), error.exit_code)
    except SystemExit as error:  # click raises none here, so it is a plugin's or a library's
        return _complain(f"a plugin or library called sys.exit({error.code!r}), where it should raise an error.", 1)
    except BaseException as error:
        return _failed(error)
    return code if isinstance(code, int) else 0


def _failed(error: BaseException) -> int:
    """Say what went wrong; returns the exit code."""
    if processes.lost(error):
        return _complain(
            "another process of this run has ended, so this one ends too: run the same command again to continue.",
            1,
            True,
        )
    if isinstance(error, RecbenchError):
        return _complain(str(error), error.exit_code)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{(error.strerror or str(error) or type(error).__name__)}.", 1)
    if ran_out(error):
        return _complain(f"{RAN_OUT}.", 1)
    if os.environ.get("RECBENCH_DEBUG"):
        traceback.print_exception(error)
        return 1
    return _complain(
        f"an unexpected {type(error).__name__} ({error}), which is a bug: RECBENCH_DEBUG=1 shows where.", 1, True
    )


def _complain(message: str, code: int, each: bool = False) -> int:
    """Print a sentence: once, since the other processes fail for the same reason, unless ``each`` has its own."""
    if each and processes.world() > 1:
        message = f"process {processes.number()} of {processes.world()}: {message}"
    if each or processes.is_main():
        said = " ".join(message.split())  # an input must not send escape codes to the terminal
        click.echo(f"recbench: {''.join(c if c.isprintable() else chr(0xFFFD) for c in said)}", err=True)
    return code
