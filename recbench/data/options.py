"""Options that several data sources share. Imports nothing heavy: descriptors build on it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from recbench.interfaces import Options

PATH: dict[str, JsonValue] = {"path": True}
"""Marks an option as a place on this machine: the files' checksums stand for it in a spec."""
Namesakes = Literal["distinct", "merged"]


class SourceOptions(Options):
    """What every data source understands."""

    namesakes: Namesakes = Field(
        "distinct",
        description="items that share a title: 'distinct' numbers them apart, 'merged' makes them one item",
    )


class ProtocolOptions(SourceOptions):
    """What every source of raw interactions understands (MSL paper, 5.1.1)."""

    core: int = Field(5, ge=2, description="users and items with fewer interactions are removed, repeatedly")
    window: int = Field(11, ge=2, description="longest window: history and target together")
