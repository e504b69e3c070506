"""Integer columns inside JSON: base64 of zlib of little-endian int32, with the length beside it."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import PlainSerializer, PlainValidator

from recbench.types import Ints


def pack(array: npt.NDArray[Any]) -> dict[str, Any]:
    """``{"length": N, "data": text}`` of a [N] array of integers or booleans; ``unpack`` gives it back exactly.

    Raises:
        ValueError: not one-dimensional, not integers, or a value that does not fit in 32 bits.
    """
    array = np.asarray(array)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ValueError(f"only a one-dimensional integer array can be packed, not {array.ndim}-d {array.dtype}")
    packed = array.astype("<i4")
    if not np.array_equal(packed, array):
        raise ValueError("a value does not fit in 32 bits")
    return {"length": len(array), "data": base64.b64encode(zlib.compress(packed.tobytes(), 9)).decode("ascii")}


def unpack(packed: Any) -> Ints:
    """The [N] int32 array that ``pack`` was given.

    Raises:
        ValueError: anything that ``pack`` could not have produced.
    """
    if not isinstance(packed, dict) or set(packed) != {"length", "data"}:
        raise ValueError("a packed column needs exactly 'length' and 'data'")
    length, data = packed["length"], packed["data"]
    if type(length) is not int or length < 0 or not isinstance(data, str):
        raise ValueError("a packed column needs a length of 0 or more and a text")
    inflate = zlib.decompressobj()
    try:
        # bounded: a hostile text cannot inflate to more than the length it declares
        raw = inflate.decompress(base64.b64decode(data, validate=True), 4 * length + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"a packed column cannot be decompressed ({error})") from error
    if len(raw) != 4 * length or not inflate.eof:
        raise ValueError(f"a packed column does not hold the {length} values it declares")
    return np.frombuffer(raw, dtype="<i4").astype(np.int32)


def _accept(value: Any) -> Ints:
    return unpack(pack(value)) if isinstance(value, np.ndarray) else unpack(value)


PackedInts = Annotated[Ints, PlainValidator(_accept), PlainSerializer(pack)]
"""A pydantic field: an int32 array in memory, packed in JSON."""
