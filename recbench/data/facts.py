"""What a preparation and its audit counted, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LABELS = {
    "protocol": "protocol",
    "raw_interactions": "interactions in the file",
    "raw_users": "users in the files",
    "raw_items": "items in the files",
    "incomplete_rows_dropped": "incomplete rows, dropped",
    "lower_ratings_dropped": "lower ratings, dropped",
    "unusable_titles": "titles too long, blank or pieces of a web page",
    "items_without_title_dropped": "items without a title, dropped",
    "interactions_without_title_dropped": "their interactions, dropped",
    "items_drawn": "items before the k-core",
    "interactions": "interactions used",
    "identical_rows_dropped": "identical rows, dropped",
    "identical_rows_kept": "identical rows, kept",
    "core": "fewest interactions of a user or item",
    "window": "longest window (history and target)",
    "users_left_out": "users left out (fewer than 4 interactions)",
    "namesakes": "items that share a title",
    "entities_decoded": "titles with HTML entities, decoded",
    "empty_titles": "empty titles (the item's id is used)",
    "namesake_titles": "titles that several items share",
    "namesake_items": "items whose title is taken",
    "items_with_several_titles": "items with several titles (the first counts)",
    "validation": "validation windows come from",
    "sample": "training sample",
    "sample_rows_in_validation": "rows of the sample held out for validation",
    "users": "users",
    "items": "items",
    "windows": "windows",
    "test_users": "users with test windows",
    "top_ten_users_share": "test windows of the ten most active users",
    "cold_share": "test targets that never occur in training",
    "repeat_share": "test targets that occur in their own history",
    "test_windows_seen": "test windows that occur earlier, too",
    "test_targets_seen": "test targets that the user had earlier",
}
VALUES = {
    ("namesakes", "distinct"): "told apart by numbers",
    ("namesakes", "merged"): "merged into one item",
}


def fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each fact as a label and a value for people, in the order of ``facts``; a source's own keep their names."""
    return [(LABELS.get(key, key.replace("_", " ")), _text(key, value)) for key, value in facts.items()]


def _text(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k.replace('_', ' ')} {_text(k, v)}" for k, v in value.items())
    if isinstance(value, float) and key.endswith("_share"):
        return f"{value:.1%}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return VALUES.get((key, str(value)), str(value))
