"""``recbench plugin``: create one, check one, or list all."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

import click

from recbench import registry
from recbench.cli.text import table, terminal_width, wrapped
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.interfaces import KINDS, Plugin


@click.group()
def plugin() -> None:
    """Write, check and list plugins: losses, backbones, decoders, identifiers, sources, metrics, slices."""


@plugin.command(short_help="Create a plugin: a package that passes its own tests right away.")
@click.argument("kind", metavar=f"[{'|'.join(KINDS)}]")
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=".", help="Where the package's folder goes.")
def new(kind: str, name: str, folder: Path) -> None:
    """Write the package recbench-NAME: a complete small example of KIND, its test, an entry point and a README.

    Install it, run its tests, and replace the example with your own method.
    """
    from recbench.scaffold import USES
    from recbench.scaffold import new as write

    made = write(kind, name, folder)
    for path in sorted(made.iterdir()):
        click.echo(path)
    place = shlex.quote(str(made))
    click.echo(f"\nNow:\n  pip install -e {place}\n  pytest {place}\n  {USES[kind].format(name)}")


@plugin.command(short_help="Check an installed plugin: contract, speed, devices.")
@click.argument("name")
@click.option("--kind", metavar="|".join(KINDS), help="Needed if several kinds have a plugin of this name.")
@click.option("--set", "sets", multiple=True, metavar="KIND.OPTION=VALUE", help="Set this option for the check.")
@click.pass_context
def check(ctx: click.Context, name: str, kind: str | None, sets: tuple[str, ...]) -> None:
    """Check the installed plugin NAME: run the contract tests of its kind, and compare speed and devices.

    For a loss it also measures time and memory next to lml (for a loss that scores items, ce). On a machine with a GPU
    it also checks that the GPU and the CPU agree. Exits with 1 if a check fails. A source that reads your own files
    needs one of them: --set dataset.file=PATH.
    """
    from recbench.checks import checks
    from recbench.scaffold import with_article

    kind = _kind(name, kind)
    found = registry.get(kind, name)
    options = _options(kind, found, sets)
    click.echo(f"{kind} {name} of {registry.origin(kind, name)}: {found.summary}")
    done = list(checks(kind, name, options))
    rows = [[one.what, one.result, " ".join(one.found.split())] for one in done]
    click.echo("\n".join(table([["check", "", ""], *rows], "  ", terminal_width())))
    failed, skipped = (sum(one.result == result for one in done) for result in ("FAILED", "skipped"))
    left = f", {skipped} skipped" * bool(skipped)
    if failed:
        click.echo(f"verdict: {name} fails {failed} of {len(done)} checks{left}")
        ctx.exit(1)
    passed = f"{len(done) - skipped} checks passed{left}"
    click.echo(f"verdict: {name} keeps the contract of {with_article(kind)}: {passed}")


@plugin.command("list", short_help="List where each plugin comes from, and which cannot be used.")
@click.argument("kind", required=False, metavar=f"[{'|'.join(KINDS)}]")
def list_(kind: str | None) -> None:
    """List each plugin's distribution, version and file, and how many options it has.

    A name that two distributions claim is listed for both, and works for neither; a plugin that cannot be imported is
    BROKEN, with the reason.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"recbench has no kind {kind!r}: {did_you_mean(kind, KINDS)}")
    notes: list[str] = []
    shown: dict[str, list[list[str]]] = {}
    for one in KINDS if kind is None else (kind,):
        claims = registry.claims(one)
        for claim in claims:
            options = _count(claim, [other for other in claims if other.name == claim.name], notes)
            owner = f"{claim.distribution} {claim.version}".strip()
            shown.setdefault(owner, []).append([one, claim.name, options, _file(claim)])
    for owner, rows in sorted(shown.items()):
        click.echo(f"{owner}:")
        click.echo("\n".join(table([["kind", "name", "options", "file"], *rows], "  ", terminal_width())))
    for note in (*notes, *registry.broken()):
        click.echo(wrapped(note, "", terminal_width()))


def _count(claim: registry.Claim, same: list[registry.Claim], notes: list[str]) -> str:
    """The number of a plugin's options; a word, and a sentence in ``notes``, where it cannot be used."""
    try:
        return str(len(registry.get(claim.kind, claim.name).options.model_fields))
    except RecbenchError as error:
        if (said := " ".join(str(error).split())) not in notes:
            notes.append(said)
        return "CLAIMED TWICE" if len(same) > 1 else "BROKEN"


def _file(claim: registry.Claim) -> str:
    """Where its module is, from the folder on the path that holds it; nothing of it is imported."""
    module = claim.value.partition(":")[0].strip()
    top, *rest = module.split(".")
    spec = find_spec(top) if top else None
    if spec is None:
        return f"no module {module}"
    if not spec.submodule_search_locations:
        return Path(spec.origin or top).name
    for place in spec.submodule_search_locations:
        for tail in (Path(*rest, "__init__.py"), Path(*rest[:-1], f"{rest[-1]}.py") if rest else Path("__init__.py")):
            if Path(place, tail).is_file():
                return str(Path(top, tail))
    return f"no module {module}"


def _kind(name: str, kind: str | None) -> str:
    """The kind that is meant by a name."""
    if kind is not None:
        if kind not in KINDS:
            raise UsageError(f"--kind {kind} is not valid: {did_you_mean(kind, KINDS)}")
        return kind
    found = [one for one in KINDS if name in registry.names(one)]
    if not found:
        if Path(folder := f"recbench-{name}", "pyproject.toml").is_file():
            raise UsageError(f"The package in {folder} is not installed: run pip install -e {folder}.")
        known = {other for one in KINDS for other in registry.names(one)}
        raise UsageError(f"No plugin is called {name!r}: {did_you_mean(name, known)}")
    if len(found) > 1:
        raise UsageError(f"{name!r} is a {' and a '.join(found)}: say which with --kind.")
    return found[0]


def _options(kind: str, found: Plugin, sets: tuple[str, ...]) -> dict[str, object]:
    """The option values of ``--set``, validated as those of a run are."""
    from recbench.cli.request import set_layer
    from recbench.spec.layers import Layers
    from recbench.spec.model import path_options
    from recbench.spec.paths import split_paths
    from recbench.spec.request import Request

    group = "dataset" if kind == "source" else kind
    asked = {group: {}, **set_layer(sets).values["set"]}
    layers = Layers(Request(model=found.kind, options=asked))
    _, paths = split_paths(layers.options(group, found.options))  # absolute: the tests run in a separate folder
    layers.finish()
    if kind == "source" and (wanted := path_options(found.options)) and not paths:
        raise UsageError(f"A source is checked with your own files: --set dataset.{min(wanted)}=PATH.")
    return {**asked[group], **paths}
