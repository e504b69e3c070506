"""What each identifier costs on a large catalogue: seconds and memory to learn, build, train and decode.

    python benchmarks/catalogue.py --items 100000

The data are made up: users like a few groups of items, and titles are random words, so that the accuracy says little.
Every identifier trains the tiny language model on the same windows and ranks the same users. Writes CATALOGUE.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from growth import made_titles

IDENTIFIERS = {
    "title": ["title"],
    "semantic, k-means": ["semantic", "--set", "identifier.method=kmeans"],
    "semantic, RQ-VAE": ["semantic", "--set", "identifier.method=rqvae"],
    "collaborative": ["collaborative"],
    "index": ["index"],
}
ROLES = ("prepare", "identifier", "tokenizer", "trie", "model", "rank")
HISTORY = 12
GROUP = 50
"""Items of a group."""


def write(file: Path, items: int, users: int) -> None:
    """Interactions in the columns user, item, timestamp and title: each item occurs twice or more, half of a
    user's items are of two groups of items."""
    draw = np.random.default_rng(0)
    titles = made_titles(items, draw)
    liked = draw.integers(items // GROUP, size=(users, 2))
    groups = np.take_along_axis(liked, draw.integers(2, size=(users, HISTORY)), 1)
    chosen = groups * GROUP + draw.integers(GROUP, size=(users, HISTORY))
    places = draw.permutation(chosen.size)[: 2 * items]
    chosen.ravel()[places] = np.concatenate([draw.permutation(items), draw.permutation(items)])
    times = np.sort(draw.integers(10**9, size=(users, HISTORY)), axis=1)
    with file.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["user", "item", "timestamp", "title"])
        for user in range(users):
            for item, when in zip(chosen[user].tolist(), times[user].tolist(), strict=True):
                rows.writerow([user, item, when, titles[item]])


def measured(data: Path, chosen: list[str], windows: int, cases: int, threads: int) -> dict[str, Any]:
    """Seconds of every step, and the most memory that a step took, of one run in a process of its own."""
    settings = ["dataset.core=2", "train.targets=all", "train.warmup_steps=5", "evaluate.per_user=0"]
    settings += [f"evaluate.cases={cases}", "evaluate.validation_cases=64", f"machine.threads={threads}"]
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "recbench", "run", "--model", "bigrec", "--loss", "msl", "--dataset", "csv"]
        command += [
            "--data-dir",
            str(data),
            "--runs",
            runs,
            "--epochs",
            "1",
            "--train-samples",
            str(windows),
            "--identifier",
            *chosen,
        ]
        command += [word for setting in settings for word in ("--set", setting)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        record = json.loads(next(Path(runs).glob("*/record.json")).read_text())
    seed = record["seeds"][0]
    seconds: dict[str, float] = {}
    for step in seed["steps"]:
        seconds[step["role"]] = seconds.get(step["role"], 0.0) + step["seconds"]
    return {"seconds": seconds, "memory": seed["peak_memory_bytes"], "run": record["run"]}


def page(rows: dict[str, dict[str, Any]], items: int, windows: int, cases: int, threads: int) -> str:
    """CATALOGUE.md."""
    phases = [role for role in ROLES if any(role in row["seconds"] for row in rows.values())]
    lines = [
        f"# Identifiers on a catalogue of {items:,} items",
        "",
        f"Made by `python benchmarks/catalogue.py --items {items} --windows {windows} --cases {cases} "
        f"--threads {threads}`: seconds of each step with the tiny language "
        f"model on {platform.machine()}, {threads} thread{'s' * (threads > 1)}: {windows:,} training windows "
        f"once, every item a target, then {cases:,} test cases by the constrained beam of 10. "
        "Data and titles are made up.",
        "",
        "| identifier | " + " | ".join(phases) + " | all | peak memory |",
        "| --- | " + " | ".join("---:" for _ in phases) + " | ---: | ---: |",
    ]
    for name, row in rows.items():
        cells = [f"{row['seconds'][phase]:.1f}" if phase in row["seconds"] else "" for phase in phases]
        total = sum(row["seconds"].values())
        lines.append(f"| {name} | {' | '.join(cells)} | {total:.1f} | {row['memory'] / 2**20:,.0f} MiB |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000, choices=range(GROUP, 10**7), metavar="N")
    parser.add_argument("--windows", type=int, default=1_000)
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(IDENTIFIERS), help="an identifier; repeatable; no page")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "made.csv")
        write(data, args.items, max(args.items // 3, 1_000))
        rows = {}
        for name in args.only or IDENTIFIERS:
            rows[name] = measured(data, IDENTIFIERS[name], args.windows, args.cases, args.threads)
            print(name, rows[name], flush=True)
    if not args.only:
        page_file = Path(__file__).with_name("CATALOGUE.md")
        page_file.write_text(page(rows, args.items, args.windows, args.cases, args.threads))


if __name__ == "__main__":
    main()
