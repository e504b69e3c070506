"""The first layers of a pretrained model without the others: a variant of it, which trains and decodes faster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from recbench.errors import UsageError
from recbench.files import read_json
from recbench.spec.llm import PretrainedOptions

IN_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")  # a weight's name -> the number of its layer


def check_layers(place: str, options: PretrainedOptions) -> None:
    """Refuse, before anything is loaded, more layers than a model folder's configuration has; others say so later.

    Raises:
        UsageError: names the option.
    """
    try:
        found = read_json(Path(place) / "config.json")
        total = found.get("text_config", found)["num_hidden_layers"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return
    if isinstance(total, int):
        check_count(options, total)


def check_count(options: PretrainedOptions, total: int) -> None:
    """Refuse options that need more layers than there are.

    Args:
        options: how many layers are kept, and how many adapted.
        total: layers of the whole model.

    Raises:
        UsageError: names the option.
    """
    for name, wanted, there in (
        ("layers", options.layers, total),
        ("adapt_last", options.adapt_last, options.layers or total),
    ):
        if wanted > there:
            raise UsageError(f"llm.{name}={wanted} is more than the model has: {there} layers.")


def keep_first(config: Any, options: PretrainedOptions) -> range:
    """Make a configuration ask for the first ``options.layers`` layers; 0 asks for all.

    transformers then builds and reads no others, and the model is saved as what it is.

    Returns:
        The numbers of the layers that are left out.

    Raises:
        UsageError: there are fewer.
    """
    text = config.get_text_config()
    total = text.num_hidden_layers
    check_count(options, total)
    if not options.layers:
        return range(0)
    for name, value in text.to_dict().items():
        if "layer" in name and isinstance(value, list) and len(value) == total:  # one entry a layer: layer_types
            setattr(text, name, value[: options.layers])
    text.num_hidden_layers = options.layers
    return range(options.layers, total)


def belongs(key: str, layers: range) -> bool:
    """Whether a weight is part of one of ``layers``."""
    found = IN_LAYER.search(key)
    return found is not None and int(found[1]) in layers
