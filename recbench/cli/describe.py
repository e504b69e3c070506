"""``recbench describe``: the options behind ``--set group.option=value``."""

from __future__ import annotations

import importlib
import inspect
import re
import types
import typing
from typing import Any

import click

from recbench import registry
from recbench.cli.text import columns
from recbench.errors import UsageError, did_you_mean
from recbench.interfaces import (
    KINDS,
    PLURALS,
    BackbonePlugin,
    IdentifierOptions,
    IdentifierPlugin,
    LossPlugin,
    Options,
    Plugin,
)

GROUPS = ("train", "collaborative_train", "reference_train", "evaluate", "machine")
HOW = {
    "collaborative": "backbone.collaborative=NAME; --set collaborative.OPTION=VALUE, collaborative_train.OPTION=VALUE",
    "teacher": "--set teacher.model=NAME, teacher.loss=NAME, teacher.decoder=NAME, teacher.GROUP.OPTION=VALUE",
    "reference": "--set reference.OPTION=VALUE, reference_train.OPTION=VALUE",
}
LLMS = ("tiny", "pretrained")
WHAT = {
    "collaborative": "the model that scores items behind a prompt's embeddings or a decoder's fusion",
    "teacher": "the recommender that a method learns from, with every part and option that it would have on its own",
    "reference": "the loss that tunes the starting point and reference of a preference loss",
}


@click.command()
@click.argument("kind")
@click.argument("name", required=False)
def describe(kind: str, name: str | None) -> None:
    """Show a method with its options: what it is, where it comes from, how it differs from its paper.

    KIND is backbone, loss, decoder, identifier, source, metric, slice, dataset or llm (tiny or pretrained), each with a
    NAME; or train (reference_train, collaborative_train), evaluate, machine. A method's NAME alone will do.
    """
    kind = dict(zip((*PLURALS, "datasets"), (*KINDS, "dataset"), strict=True)).get(kind, kind)
    if kind in HOW and name is None:
        click.echo(f"{kind}: {WHAT[kind]}")
        click.echo(f"  {HOW[kind]}")
        for owner in (k for k in KINDS if kind in registry.names(k)):
            click.echo(f"{owner} {kind}: recbench describe {owner} {kind}")
        return
    known = (*KINDS, "dataset", "llm", *GROUPS)
    if name is None and kind not in known and (owners := [k for k in KINDS if kind in registry.names(k)]):
        kind, name = owners[0], kind
    if kind not in known:
        raise UsageError(f"Unknown kind {kind!r}: {did_you_mean(kind, known)}")
    if kind in GROUPS:
        if name is not None:
            raise UsageError(f"describe {kind} takes no name, but {name!r} was given.")
        _print(group_options(kind), kind)
        return
    names = {"llm": lambda: LLMS, "dataset": _datasets}.get(kind, lambda: registry.names(kind))()
    if name is None:
        raise UsageError(f"describe {kind} needs a name: {', '.join(names)}.")
    if kind == "dataset":
        _describe_dataset(name)
    elif kind == "llm":
        if name not in LLMS:
            raise UsageError(f"Unknown llm {name!r}: {did_you_mean(name, LLMS)}")
        from recbench.spec.llm import options_of

        _print(options_of(name), "llm")
    else:
        _describe_method(kind, name)


def _datasets() -> list[str]:
    from recbench.data.catalog import datasets

    return sorted({*datasets(), *registry.names("source")})


def _describe_dataset(name: str) -> None:
    """A data set of datasets.yaml, then the source that reads it; or a source itself, which has a data set's name."""
    from recbench.data.catalog import datasets

    entry = datasets().get(name)
    if entry is None:
        if name not in registry.names("source"):
            raise UsageError(f"Unknown dataset {name!r}: {did_you_mean(name, _datasets())}")
        _describe_method("source", name)
        return
    click.echo(f"dataset {name}: {entry.title}")
    facts = [("licence", entry.licence), ("prepared", entry.preparation)]
    for key, value in entry.options.items():
        facts.append((f"dataset.{key}", f"{_value(value)}  (from datasets.yaml)"))
    _facts(facts)
    _describe_method("source", entry.source)


def _describe_method(kind: str, name: str) -> None:
    plugin = registry.get(kind, name)
    click.echo(f"{kind} {name}: {plugin.summary}")
    facts = [("distribution", registry.origin(kind, name)), ("paper", plugin.paper)]
    if isinstance(plugin, BackbonePlugin):
        facts += [("default loss", plugin.default_loss), ("default decoder", plugin.default_decoder)]
        facts += [(f"{role} model", f"{needed}  ({HOW.get(role, '')})") for role, needed in plugin.requires.items()]
    elif isinstance(plugin, IdentifierPlugin):
        options = plugin.options()
        sources = sorted(options.learns_from()) if isinstance(options, IdentifierOptions) else []
        facts += [("new tokens", "yes" if plugin.tokens else ""), ("learns from", ", ".join(sources))]
    elif isinstance(plugin, LossPlugin) and plugin.after:
        facts.append(("tuned first by", f"{plugin.after}  ({HOW['reference']})"))
    _facts(facts)
    if differences := known_differences(plugin):
        click.echo("\n".join(f"  {line}".rstrip() for line in differences.splitlines()))
    _print(plugin.options, "dataset" if kind == "source" else kind)


def _facts(facts: list[tuple[str, str]]) -> None:
    if said := [fact for fact in facts if fact[1]]:
        click.echo(columns(said, "  "))


def known_differences(plugin: Plugin) -> str:
    """What the docstring of the method's module says from "Known differences" on, as plain text; may be empty.

    Where it refers to those of another module, that module's follow.
    """
    found: list[str] = []
    wanted, seen = [plugin.implementation.__module__], set()
    while wanted:
        name = wanted.pop(0)
        seen.add(name)
        text = inspect.cleandoc(importlib.import_module(name).__doc__ or "")
        start = re.search(r"^Known differences", text, re.MULTILINE)
        if start is None:
            continue
        said = text[start.start() :]
        wanted += [other for other in re.findall(r":mod:`(recbench[\w.]+)`", said) if other not in {*seen, *wanted}]
        plain = re.sub(r"``", "", re.sub(r":\w+:`~?([^`]*)`", r"\1", said))
        found.append(plain if not found else f"\n{name}:\n{plain}")
    return "\n".join(found)


def group_options(name: str) -> type[Options]:
    """The options of ``train``, ``evaluate``, ``machine`` and of the training of a helper model."""
    from recbench.spec.options import EvaluateOptions, MachineOptions, TrainBudget

    found: dict[str, type[Options]] = {"evaluate": EvaluateOptions, "machine": MachineOptions}
    return found.get(name, TrainBudget)


def _print(options: type[Options], group: str) -> None:
    if not options.model_fields:
        click.echo("It has no options.")
        return
    click.echo(f"Options, set by --set {group}.OPTION=VALUE:")
    click.echo(columns([("option", "type", "default", "what it does"), *option_rows(options)], "  "))


def option_rows(options: type[Options]) -> list[tuple[str, str, str, str]]:
    """Name, type, default and description of every option, as text."""
    from recbench.spec.options import PRESETS, TRAIN_DEFAULTS, EvaluateOptions, TrainBudget

    groups = {EvaluateOptions: ("evaluate",), TrainBudget: ("text", "scores", "preference")}.get(options, ())
    by_preset = {name for preset in PRESETS.values() for group in groups for name in preset.get(group, {})}
    by_model = {name for kind in TRAIN_DEFAULTS.values() for name in kind} if options is TrainBudget else set()
    rows = []
    for name, field in options.model_fields.items():
        if field.is_required() or name in by_preset:
            default = "(preset)"
        elif name in by_model:
            default = "(by model)"
        else:
            default = _value(field.get_default(call_default_factory=True))
        rows.append((name, _type(field.annotation), default, field.description or ""))
    return rows


def _value(value: Any) -> str:
    return "''" if value == "" else str(list(value) if isinstance(value, tuple) else value)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(a) for a in arguments)
    if origin is not None:
        return f"{origin.__name__} of {_type(arguments[0])}" if arguments else origin.__name__
    return {"NoneType": "none"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation))
    )
