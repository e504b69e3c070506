"""Records that somebody else made, with right checksums: refused with a sentence, or shown as what they are.

A record is changed in one or two places at random; its hashes are computed anew, as a forger would.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from recbench.files import canonical, digest
from recbench.results.saved import spec_hash

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 10**12, 10**400, 0.5, -1.5, 1e308, "", "x", "0", " ", [], {}, [[]], {"a": {}}),
    *("../../outside/canary", "/etc/passwd", "~", "a\nb", "```\n# x\n<script>", "\x1b[31m", "\u202e", "x" * 5000),
    *("{0.__class__}", "{{7*7}}", "%s%n", "$(touch {canary})", "`touch {canary}`", "--llm=/", "|a|b|", "![x](y)"),
    *([1] * 50, {"length": 3, "data": "!!"}, {"length": 10**9, "data": ""}, {"length": 1, "data": "eJxjYGBgAAAABAAB"}),
]
COMMANDS = {
    "table": ["table"],
    "store": ["store"],
    "show": ["show", "{run}", "--case", "0"],
    "compare": ["compare", "{run}", "{run}"],
    "add": ["leaderboard", "add", "{run}", "--records", "lb/records"],
    "build": ["leaderboard", "build", "--records", "lb/records", "--out", "lb", "--html"],
    "rerun": ["leaderboard", "rerun", "--records", "lb/records", "--runs", "rerun"],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, one in inner for found in [(*path, key), *places(one, (*path, key))]]


def changed(content: Any, draws: random.Random, canary: Path) -> Any:
    """The value with something at one place replaced, removed, doubled or renamed."""
    path = draws.choice(places(content))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    value = draws.choice(VALUES)
    value = value.replace("{canary}", str(canary)) if isinstance(value, str) else value
    how = draws.randrange(6)
    if how == 0:
        del holder[path[-1]]
    elif how == 1 and isinstance(holder, list):
        holder.append(holder[path[-1]])
    elif how == 1:
        holder[f"{value}"[:300]] = holder.pop(path[-1])
    else:
        holder[path[-1]] = value
    return content


def forged(record: Path, draws: random.Random, canary: Path) -> None:
    content = json.loads(record.read_bytes())
    content.pop("sha256")
    for _ in range(draws.randint(1, 2)):
        content = changed(content, draws, canary)
    if isinstance(content.get("spec"), dict):
        content["spec_hash"] = spec_hash(content["spec"])
    record.write_text(json.dumps({**content, "sha256": digest(json.loads(canonical(content)))}))


def attack(seed: int, again: Any, names: list[str]) -> None:
    (record,) = (again.work / "runs").glob("*/record.json")
    forged(record, random.Random(seed), again.canary)
    (again.work / "lb" / "records").mkdir(parents=True)
    for name in names:
        if name in ("build", "rerun"):
            (again.work / "lb" / "records" / "x.json").write_bytes(record.read_bytes())
        again.call(*(word.format(run=record.parent.name) for word in COMMANDS[name]))
    kept = {path.relative_to(again.work).parts[0] for path in again.work.rglob("*")}
    assert kept <= {"own.csv", "runs", "lb", "rerun"}
    assert not list(again.work.rglob("*.recbench-tmp"))


@pytest.mark.parametrize("seed", range(30))
def test_a_forged_record(seed: int, again: Any) -> None:
    attack(seed, again, ["table", "compare", "add"])


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(30, 130))
def test_forged_records_and_every_command(seed: int, again: Any) -> None:
    attack(seed, again, list(COMMANDS))
