"""Python values as what ``torch.load(weights_only=True)`` reads back: a checkpoint holds nothing that can run."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

_KIND = "recbench kind"


class Unplain(Exception):
    """A value that a checkpoint cannot hold; the message names it."""


def packed(value: Any, name: str) -> Any:
    """``value`` in numbers, texts, tensors, tuples, lists and dicts; ``name`` is where it was found, for the error.

    Raises:
        Unplain: it holds something that is none of what :class:`recbench.interfaces.Resumable` lists.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        return {_KIND: "tensor", "value": value.detach().cpu(), "device": str(value.device)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        array = torch.from_numpy(np.array(value))
        return {_KIND: "array" if isinstance(value, np.ndarray) else "scalar", "value": array}
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator
        return {_KIND: "generator", "name": type(bits).__name__, "value": packed(bits.state, f"{name}.bit_generator")}
    if kind in (list, tuple):
        return kind(packed(one, f"{name}[{number}]") for number, one in enumerate(value))
    if kind is deque:
        return {_KIND: "deque", "value": packed(list(value), name), "length": value.maxlen}
    if kind is dict and all(type(key) in (int, str) for key in value):
        return {_KIND: "dict", "value": {key: packed(one, f"{name}[{key!r}]") for key, one in value.items()}}
    raise Unplain(f"{name} is a {kind.__name__}")


def unpacked(value: Any) -> Any:
    """What :func:`packed` was given; new objects."""
    if isinstance(value, list | tuple):
        return type(value)(map(unpacked, value))
    if not isinstance(value, dict):
        return value
    kind, inner = value[_KIND], value["value"]
    if kind == "tensor":
        return inner.to(value["device"])
    if kind == "array":
        return inner.numpy()
    if kind == "scalar":
        return inner.numpy()[()]
    if kind == "generator":
        bits = {"PCG64": np.random.PCG64, "MT19937": np.random.MT19937, "Philox": np.random.Philox}[value["name"]]()
        bits.state = unpacked(inner)
        return np.random.Generator(bits)
    if kind == "deque":
        return deque(unpacked(inner), value["length"])
    return {key: unpacked(one) for key, one in inner.items()}
