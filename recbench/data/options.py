"""Options that several data sources share. Imports nothing heavy: descriptors build on it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from recbench.interfaces import Options

PATH: dict[str, JsonValue] = {"path": True}
"""Marks an option as a place on this machine: the files' checksums stand for it in a spec."""
Namesakes = Literal["distinct", "merged"]
ProtocolName = Literal["sliding", "leave_one_out"]  # those of recbench.data.protocols that cut raw interactions


class SourceOptions(Options):
    """What every data source understands."""

    namesakes: Namesakes = Field(
        "distinct",
        description="items that share a title: 'distinct' adds numbers to their titles, 'merged' makes them one item",
    )
    noun: str = Field("", description="what the items are called in prompts, such as songs (empty: by data set)")
    noun_one: str = Field("", description="one of them, such as song")
    verb: str = Field("", description="what users did with them, such as 'listened to' (empty: by data set)")

    repeated_windows: Literal["refused", "counted"] = Field(
        "refused",
        description="more than 1% of held-out windows occur earlier at another time: 'refused' as a leak, or 'counted' "
        "where users do repeat themselves, as with songs",
    )

    @model_validator(mode="after")
    def _both_nouns(self) -> Self:
        if bool(self.noun) != bool(self.noun_one):
            raise ValueError("noun and noun_one go together, such as noun=songs and noun_one=song")
        return self


class ProtocolOptions(SourceOptions):
    """What every source of raw interactions understands (MSL paper, 5.1.1)."""

    protocol: ProtocolName = Field(
        "sliding",
        description="'sliding': windows of all users in time order, 8:1:1; 'leave_one_out': each user's last item is "
        "the test target, the one before it the validation target",
    )
    identical_rows: Literal["dropped", "kept"] = Field(
        "dropped", description="rows with the same user, item and time: 'dropped' keeps one of them, 'kept' all"
    )
    core: int = Field(5, ge=2, description="users and items with fewer interactions are removed, repeatedly")
    window: int = Field(11, ge=2, description="longest window: history and target together")
