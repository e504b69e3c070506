"""How fast ``recbench data prepare`` reads reviews, and in how much memory: one size, and twice that size.

    python benchmarks/prepare.py --reviews 1000000

The files have the layout of Amazon 2014, with random users, items and words; a review has about 750 bytes. Like the
real Books, they have 2.8 reviews for each user and ten for each item (memory depends on these: every id is kept), and
the lines with titles are Python literals. Nothing is dropped (--core 1), so memory use is highest. Writes
PREPARE.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from recbench.results.environment import environment

WORDS = 90  # of a review
BY_USER, BY_ITEM = 2.8, 10  # reviews
BOOKS = 22_507_155  # reviews


def write(folder: Path, reviews: int) -> tuple[Path, Path, int]:
    """The files, and the bytes of reviews before compression."""
    draw = np.random.default_rng(reviews)
    users, items = int(reviews / BY_USER), reviews // BY_ITEM
    words = ["".join(letters) for letters in draw.choice(list("abcdefghijklmnopqrstuvwxyz"), (5000, 6))]
    texts = [" ".join(draw.choice(words, WORDS)) for _ in range(500)]
    owner, chosen = draw.integers(users, size=reviews), draw.integers(items, size=reviews)
    size = 0
    with gzip.open(folder / "reviews_Made.json.gz", "wb", compresslevel=1) as file:
        for number, (user, item) in enumerate(zip(owner.tolist(), chosen.tolist(), strict=True)):
            line: dict[str, object] = {
                "reviewerID": f"A{user:013d}",
                "asin": f"B{item:09d}",
                "reviewText": texts[number % 500],
            }
            line |= {"overall": 5.0, "summary": "Five Stars", "unixReviewTime": 10**9 + number}
            size += file.write(json.dumps(line).encode() + b"\n")
    with gzip.open(folder / "meta_Made.json.gz", "wb", compresslevel=1) as file:
        for item in range(items):
            title = f"{words[item % 5000]} {words[item // 5000 % 5000]} {item}"
            file.write(repr({"asin": f"B{item:09d}", "title": title, "price": 9.99}).encode() + b"\n")
    return folder / "reviews_Made.json.gz", folder / "meta_Made.json.gz", size


def prepared(reviews: int) -> dict[str, float]:
    """CPU seconds and peak memory of one preparation, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        raw, meta, size = write(Path(folder), reviews)
        words = ["data", "prepare", "amazon-2014", str(raw), str(meta), "--out", f"{folder}/out", "--core", "1"]
        process = subprocess.Popen([sys.executable, "-m", "recbench", *words], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"recbench data prepare failed with {os.waitstatus_to_exitcode(status)}.")
        counts = json.loads(Path(folder, "out", "manifest.json").read_text())["counts"]
    seconds = used.ru_utime + used.ru_stime
    found = {"megabytes": size / 1e6, "seconds": seconds, "mebibytes": used.ru_maxrss / 1024}
    found["kept"] = counts["interactions"]
    print(f"{reviews:,}: {found}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=int, default=1_000_000)
    reviews = parser.parse_args().reviews
    rows = {number: prepared(number) for number in (reviews, 2 * reviews)}
    small, large = rows.values()
    each = (large["mebibytes"] - small["mebibytes"]) * 2**20 / reviews
    lines = [
        "# Preparing a release",
        "",
        f"Made by `python benchmarks/prepare.py --reviews {reviews}` on {environment('cpu', 1)['cpu']}: reviews in the "
        "layout of Amazon 2014, compressed. MB counts uncompressed lines; seconds are of CPU time.",
        "",
        "| reviews | MB | seconds | MB/s | peak memory (MiB) | interactions kept |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {number:,} | {row['megabytes']:,.0f} | {row['seconds']:.1f} "
            f"| {row['megabytes'] / row['seconds']:.0f} | {row['mebibytes']:,.0f} | {row['kept']:,} |"
            for number, row in rows.items()
        ),
        "",
        f"Each further review takes {each:.0f} bytes. At this rate, the {BOOKS:,} reviews of Books would take "
        f"{small['mebibytes'] / 1024 + (BOOKS - reviews) * each / 2**30:.1f} GiB.",
    ]
    Path(__file__).with_name("PREPARE.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
