"""Whether the parts of a request go together, and a sentence where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recbench import registry
from recbench.errors import RecbenchError, UsageError
from recbench.interfaces import BackbonePlugin
from recbench.spec.llm import TINY
from recbench.spec.model import Decoder, Identifier
from recbench.spec.request import Request


def check_parts(request: Request, backbone: BackbonePlugin, loss: str, decoder: str) -> None:
    """Refuse a loss or a decoder of another kind of model.

    Raises:
        UsageError: names what would fit.
    """
    if request.loss and not backbone.default_loss:
        raise UsageError(f"--loss {request.loss} does not apply: {request.model} is not trained by a loss of recbench.")
    makes = _words(backbone.signal)
    if loss and (trains := registry.get("loss", loss).signal) != backbone.signal:
        raise UsageError(
            f"--loss {loss} trains {_words(trains)}, but {request.model} produces "
            f"{makes}: use {_fitting('loss', backbone.signal)}."
        )
    if (accepts := registry.get("decoder", decoder).signal) != backbone.signal:
        raise UsageError(
            f"--decoder {decoder} needs {_words(accepts)}, but {request.model} "
            f"produces {makes}: use {_fitting('decoder', backbone.signal)}."
        )


def check_identifier(request: Request, found: Identifier, backbone: BackbonePlugin, decoder: Decoder) -> None:
    """Refuse an identifier that a run's other parts cannot use.

    Raises:
        UsageError: names the part, and what would fit.
    """
    if decoder.plugin.reads_titles and not found.plugin.titles:
        raise UsageError(
            f"--decoder {decoder.name} looks for titles in what the model writes, and with --identifier {found.name} "
            f"it writes none: use {_fitting('decoder', 'text', lambda one: not one.reads_titles)}."
        )
    if found.shows != "titles" and backbone.implementation.targets == "last":
        raise UsageError(
            f"identifier.shows={found.shows} cannot be used with {request.model}, whose prompt does not keep "
            "items apart: use identifier.shows=titles."
        )
    if found.plugin.tokens and "collaborative" in backbone.requires and request.llm != TINY:
        raise UsageError(
            f"--identifier {found.name} cannot be used with {request.model} and a pretrained language model, which "
            "has no place for new tokens next to collaborative ones: use bigrec, or --llm tiny."
        )


def _words(signal: str) -> str:
    return "titles" if signal == "text" else "item scores"


def _fitting(kind: str, signal: str, fits: Callable[[Any], bool] = lambda plugin: True) -> str:
    fitting = []
    for name in registry.names(kind):
        try:
            if (plugin := registry.get(kind, name)).signal == signal and fits(plugin):
                fitting.append(name)
        except RecbenchError:  # a broken plugin is not advice
            continue
    return " or ".join(fitting)
