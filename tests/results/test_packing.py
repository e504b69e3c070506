"""Packed columns and lists: lossless, as narrow as can be, and nothing else is unpacked."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recbench.results.packing import pack, pack_lists, unpack, unpack_lists

INT32 = st.integers(-(2**31), 2**31 - 1)


@given(hnp.arrays(np.int32, st.integers(0, 60), elements=INT32))
def test_packing_is_lossless(array: np.ndarray) -> None:
    back = unpack(json.loads(json.dumps(pack(array))))
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("array", [np.zeros((2, 2), int), np.array([0.5]), np.array([2**31])])
def test_what_cannot_be_packed_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"integer array|32 bits"):
        pack(array)


@pytest.mark.parametrize(
    "packed", [None, {}, {"length": 3, "data": "!"}, {"length": -1, "data": ""}, {**pack(np.arange(3)), "length": 2}]
)
def test_what_pack_never_wrote_is_refused(packed: object) -> None:
    with pytest.raises(ValueError, match="a packed column"):
        unpack(packed)


@settings(max_examples=40)
@given(hnp.arrays(np.int32, st.tuples(st.integers(0, 20), st.integers(1, 10)), elements=st.integers(-1, 2**31 - 2)))
def test_packed_lists_are_lossless(array: np.ndarray) -> None:
    back = unpack_lists(json.loads(json.dumps(pack_lists(array))))
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("top", [254, 255, 65_534, 65_535])
def test_lists_take_the_narrowest_width(top: int) -> None:
    array = np.array([[-1, top]], np.int32)
    assert pack_lists(array)["bytes"] == (1 if top < 255 else 2 if top < 65_535 else 4)
    np.testing.assert_array_equal(unpack_lists(pack_lists(array)), array)


@pytest.mark.parametrize("array", [np.zeros(3, int), np.zeros((2, 2)), np.full((1, 1), -2), np.full((1, 1), 2**31 - 1)])
def test_lists_that_cannot_be_packed_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"integer array|31 bits"):
        pack_lists(array)


LISTS = pack_lists(np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 3},
        {"columns": -1},
        {"bytes": 3},
        {"bytes": True},
        {"data": 5},
        {"data": "!"},
        {"more": 1},
        {"bytes": 2},
    ],
)
def test_lists_that_were_never_written_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"packed (lists|column)"):
        unpack_lists({**LISTS, **change})
