"""``recbench describe``: the options behind ``--set group.option=value``."""

from __future__ import annotations

import types
import typing
from typing import Any

import click

from recbench import registry
from recbench.cli.text import columns
from recbench.errors import UsageError, did_you_mean
from recbench.interfaces import KINDS, PLURALS, Options

GROUPS = ("train", "collaborative_train", "reference_train", "evaluate", "machine")
HOW = {
    "collaborative": "backbone.collaborative=NAME; --set collaborative.OPTION=VALUE, collaborative_train.OPTION=VALUE",
    "teacher": "--set teacher.model=NAME, teacher.loss=NAME, teacher.decoder=NAME, teacher.GROUP.OPTION=VALUE",
    "reference": "--set reference.OPTION=VALUE, reference_train.OPTION=VALUE",
}
LLMS = ("tiny", "pretrained")
WHAT = {
    "collaborative": "the model that scores items behind a prompt's embeddings or a decoder's fusion",
    "teacher": "the recommender that a method learns from, with every part and option that it would have by itself",
    "reference": "the loss that tunes the starting point and reference of a preference loss",
}


@click.command()
@click.argument("kind")
@click.argument("name", required=False)
def describe(kind: str, name: str | None) -> None:
    """The options of a method or group: type, default and what they do.

    KIND is backbone, loss, decoder, source or llm (tiny or pretrained), each with a NAME; or train (reference_train,
    collaborative_train), evaluate, machine.
    """
    kind = dict(zip(PLURALS, KINDS, strict=True)).get(kind, kind)
    if kind in HOW:
        click.echo(f"{kind}: {WHAT[kind]}")
        click.echo(f"  {HOW[kind]}")
        return
    owners = [k for k in KINDS if kind in registry.names(k)]
    if owners and name is None:  # a method's name alone
        kind, name = owners[0], kind
    if kind not in (*KINDS, "llm", *GROUPS):
        raise UsageError(f"Unknown kind {kind!r}: {did_you_mean(kind, (*KINDS, 'llm', *GROUPS))}")
    if kind in GROUPS:
        if name is not None:
            raise UsageError(f"describe {kind} takes no name, but {name!r} was given.")
        _print(_group(kind), kind)
        return
    if name is None:
        known = LLMS if kind == "llm" else registry.names(kind)
        raise UsageError(f"describe {kind} needs a name: {', '.join(known)}.")
    if kind == "llm":
        if name not in LLMS:
            raise UsageError(f"Unknown llm {name!r}: {did_you_mean(name, LLMS)}")
        from recbench.spec.llm import options_of

        _print(options_of(name), "llm")
        return
    plugin = registry.get(kind, name)
    click.echo(f"{kind} {name}: {plugin.summary} ({registry.origin(kind, name)})")
    facts = [
        ("paper", plugin.paper),
        ("default loss", plugin.default_loss),
        ("default decoder", plugin.default_decoder),
    ]
    facts += [(f"{role} model", f"{needed}  ({HOW.get(role, '')})") for role, needed in plugin.requires.items()]
    facts += [("tuned first by", f"{plugin.after}  ({HOW['reference']})")] if plugin.after else []
    if said := [fact for fact in facts if fact[1]]:
        click.echo(columns(said, "  "))
    _print(plugin.options, "dataset" if kind == "source" else kind)


def _group(name: str) -> type[Options]:
    from recbench.budget import EvaluateOptions, MachineOptions, TrainBudget

    found: dict[str, type[Options]] = {"evaluate": EvaluateOptions, "machine": MachineOptions}
    return found.get(name, TrainBudget)


def _print(options: type[Options], group: str) -> None:
    if not options.model_fields:
        click.echo("It has no options.")
        return
    click.echo(f"Options, set by --set {group}.OPTION=VALUE:")
    rows = [("option", "type", "default", "what it does")]
    for name, field in options.model_fields.items():
        default = "(preset)" if field.is_required() else _value(field.get_default(call_default_factory=True))
        rows.append((name, _type(field.annotation), default, field.description or ""))
    click.echo(columns(rows, "  "))


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
