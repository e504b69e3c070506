"""Our decoding and training against the usual implementations, in one process; results must be equal first.

    python benchmarks/bench.py --llm SmolLM2.gguf           # under a quarter of an hour on two cores
    python benchmarks/bench.py --llm SmolLM2.gguf --full    # every row and the growth curves, about an hour; continues
                                                            # where it stopped, as long as the code is the same

Writes ``benchmarks/RESULTS.md`` from ``benchmarks/results.json``, which keeps what earlier calls measured. Without
``--llm`` only the tiny model is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from measure import Row, machine, tuned  # noqa: E402
from report import page  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--llm", default="", help="a GGUF file, a folder or a hub identifier; SmolLM2-135M is meant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--full", action="store_true", help="every row; those measured with this code are kept")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--memory", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--tries", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    tuned()
    import growth
    import work

    if chosen.memory:
        work.training(chosen.llm, chosen.threads, chosen.memory)
        return
    if chosen.tries:
        work.tries(chosen.tries)
        return
    n, llm = chosen.threads, chosen.llm
    parts: dict[str, Callable[[], list[Row]]] = {
        "tries": work.tries,
        "tiny decoding 8": lambda: work.decoding("tiny", 8, n),
        "tiny decoding 32": lambda: work.decoding("tiny", 32, n),
        "exact": lambda: work.exact(n),
        "tiny training": lambda: work.training("tiny", n),
    }
    if llm:
        parts["llm training"] = lambda: work.training(llm, n)
        parts["llm decoding 8"] = lambda: work.decoding(llm, 8, n, "dict")
    if chosen.full:
        parts["growth"] = lambda: growth.curves(n)
        parts["growth of the catalogue"] = lambda: growth.catalogues(n)
        if llm:
            parts["llm decoding 8"] = lambda: work.decoding(llm, 8, n)
            parts["llm decoding 32"] = lambda: work.decoding(llm, 32, n, "dict")
            parts["llm training in bf16"] = lambda: work.training(llm, n, bf16=True)
            parts["llm decoding 2 in bf16"] = lambda: work.decoding(llm, 2, n, "dict", bf16=True)
    path, code = HERE / "results.json", _code()
    kept = json.loads(path.read_text())["rows"] if path.is_file() else []
    for name, part in parts.items():
        if chosen.only not in name or (chosen.full and any(r["part"] == name and r["code"] == code for r in kept)):
            continue
        try:
            commit = machine(n)["git_commit"]
            rows = [{**row, "part": name, "code": code, "commit": commit} for row in part()]
        except AssertionError as error:
            raise SystemExit(f"{name}: {error}. Nothing was timed.") from error
        names = {row["name"] for row in rows}
        kept = [r for r in kept if r["name"] not in names] + rows
        path.write_text(json.dumps({"machine": machine(n), "rows": kept}, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(page(json.loads(path.read_text())))


def _code() -> str:
    """What the figures were measured with."""
    from recbench.files import digest, sha256_path
    from recbench.steps.code import code_of

    plugins = ("decoders.constrained_beam", "decoders.exact", "losses.msl")
    measured = ("recbench.steps.tuned", "recbench.steps.trie", *(f"recbench_plugins.{name}" for name in plugins))
    return digest([*map(sha256_path, sorted(HERE.glob("*.py"))), code_of(measured).digest])


if __name__ == "__main__":
    main()
