"""Records of four methods."""

from __future__ import annotations

import pytest

from made_pages import page_record
from recbench.results import RunRecord


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return [
        page_record("popularity", 0.1),
        page_record("sasrec", 0.3, 3),
        page_record("llara", 0.6, 3, "tiny"),
        page_record("bigrec", 0.29, 3, "tiny"),
    ]
