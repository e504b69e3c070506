"""Timing two implementations of the same work in turn, and the memory of each in a separate process."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# glibc returns large blocks to the system and faults them in again, which slows the peers most: tuned for both sides
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1)}
MALLOC["MALLOC_TOP_PAD_"] = str(1 << 26)
ROUNDS = 3
Row = dict[str, Any]


def timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def duel(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], once: float | None = None, **facts: Any) -> Row:
    """Both in turn after a warm-up of each; sorted seconds of each, and the ratio of their medians.

    Args:
        name, facts: of the row.
        ours, theirs: the same work.
        once: seconds that theirs took just before, where it takes minutes and is not run again.
    """
    ours()
    times: dict[str, list[float]] = {"ours": [], "theirs": [] if once is None else [once]}
    if once is None:
        theirs()
    for _ in range(ROUNDS):
        if once is None:
            times["theirs"].append(timed(theirs))
        times["ours"].append(timed(ours))
    row = {"name": name, **facts, **{side: sorted(found) for side, found in times.items()}}
    ours_s, theirs_s = (statistics.median(times[side]) for side in ("ours", "theirs"))
    row["ratio"] = theirs_s / ours_s
    print(f"{name}: {ours_s:.3f} s, {theirs_s:.3f} s: {row['ratio']:.1f}x", flush=True)
    return row


def tuned() -> None:
    """Start this process again with the tuned allocator, unless it has it."""
    if "RECBENCH_BENCH" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC, "RECBENCH_BENCH": "1"})


def memory(*arguments: str) -> dict[str, Any]:
    """What a fresh process of this program with these arguments printed; untuned, or freed blocks would count."""
    plain = {k: v for k, v in os.environ.items() if k not in MALLOC}
    plain["RECBENCH_BENCH"] = "1"
    command = [sys.executable, sys.argv[0], *arguments]
    done = subprocess.run(command, env=plain, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def resident() -> int:
    """Bytes of this process in memory now, without what Python or glibc hold back of what was freed."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _pages() * resource.getpagesize()


def added(action: Callable[[], Any]) -> int:
    """Bytes by which the process grows at most while ``action`` runs, looked at every millisecond."""
    before, peak, running = resident(), [0], threading.Event()
    running.set()

    def look() -> None:
        while running.is_set():
            peak[0] = max(peak[0], _pages() * resource.getpagesize())
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    action()
    running.clear()
    thread.join()
    return peak[0] - before


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def machine(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    from recbench.results.environment import environment

    found = environment("cpu", threads)
    kept = {name: found[name] for name in ("device", "cpu", "cores", "python", "git_commit")}
    # the results themselves, which this program writes, do not count
    status = ["git", "-C", str(Path(__file__).parent.parent), "status", "--porcelain", "--", "recbench", "plugins"]
    kept["git_dirty"] = bool(subprocess.run(status, capture_output=True, text=True).stdout)
    return {**kept, "versions": found["versions"], "system": platform.platform()}
