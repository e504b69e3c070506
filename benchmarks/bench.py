"""Our decoding and training against the peers' way, in turn in one process; results must be equal first.

    python benchmarks/bench.py                          # tiny model, tries: about ten minutes on two cores
    python benchmarks/bench.py --llm SmolLM2.gguf       # SmolLM2 too

Writes ``benchmarks/RESULTS.md`` from ``benchmarks/results.json``, which keeps what earlier calls measured.
"""

from __future__ import annotations

import argparse
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
HERE = Path(__file__).parent
ROUNDS = 3
Row = dict[str, Any]


def timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def duel(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = ROUNDS, **facts: Any) -> Row:
    """Both in turn after one warm-up each; medians and spread in seconds, and their ratio."""
    ours(), theirs()
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        times["theirs"].append(timed(theirs))
        times["ours"].append(timed(ours))
    row = {"name": name, **facts, **{side: sorted(found) for side, found in times.items()}}
    row["ratio"] = statistics.median(times["theirs"]) / statistics.median(times["ours"])
    ours_s, theirs_s = (statistics.median(times[side]) for side in ("ours", "theirs"))
    print(f"{name}: {ours_s:.3f} s, {theirs_s:.3f} s: {row['ratio']:.1f}x", flush=True)
    return row


def load(llm: str, threads: int, steps: bool) -> tuple[Any, Any]:
    """The model and its data: ``tiny`` trained by MSL on a few thousand windows, any other as it is."""
    from recbench.config import Request
    from recbench.interfaces import SilentReporter
    from recbench.results import Store
    from recbench.run import begin, plan
    from recbench.stages import Stages

    sets = ("train.samples=6400", "train.epochs=1", "evaluate.validation_cases=50", f"machine.threads={threads}")
    spec = plan(Request(model="bigrec", loss="msl", llm=llm, sets=sets))
    begin(spec)
    stages = Stages(spec, Store(Path("runs/bench/artefacts")), SilentReporter())
    split = stages.split()
    model = stages.trained(split, 1) if steps else stages.untuned(split, 1)[0]
    model.lm.eval()
    return model, split


def decoding(llm: str, users: int, threads: int) -> list[Row]:
    """Beam search with HF's own scores against ``generate``; and the whole of ours against HF's prefill alone."""
    import numpy as np
    from peers import dict_trie, following, padded_prefill

    from recbench_plugins.decoders.beam_search import BeamSearch
    from recbench_plugins.decoders.generate import generate
    from recbench_plugins.decoders.hf_constrained_beam import TokenTrie

    model, split = load(llm, threads, llm == "tiny")
    encoder = model.encoder
    cases = split.test.take(np.linspace(0, len(split.test) - 1, users).astype(int))
    prompts, none = encoder.prompts(cases), [set() for _ in range(users)]
    item_of = {answer[:-1]: item for item, answer in enumerate(encoder.answers)}
    as_hf, renormalised = BeamSearch(model, 10, True, 1.0), BeamSearch(model, 10, False, 0.0)
    tries = {
        "dict trie": following(dict_trie(encoder.answers), encoder.tokenizer.eos_token_id),
        "marisa-trie": TokenTrie(encoder.answers).following,
    }
    label = "tiny" if llm == "tiny" else Path(llm).stem
    ours = [[item for _, item in found] for found in as_hf(prompts, none)]
    rows = []
    for name, allowed in tries.items():
        for batch in sorted({users, min(users, 8)}):

            def theirs(batch: int = batch, allowed: Any = allowed) -> list[Any]:
                parts = [prompts[i : i + batch] for i in range(0, users, batch)]
                return [a for part in parts for a in generate(model, part, 10, 10, 1.0, allowed)]

            found = [[item_of[tuple(tokens)] for tokens, _ in answers] for answers in theirs()]
            assert found == ours, "generate() finds other items"
            rounds = ROUNDS if llm == "tiny" else 1
            title = f"{label}, {users} users: beam 10, HF's scores, against generate with a {name} (its batch: {batch})"
            rows.append(duel(title, lambda: as_hf(prompts, none), theirs, rounds, users=users))
    title = f"{label}, {users} users: beam 10, renormalised (what MSL trains), against HF's padded prefill alone"
    rows.append(
        duel(title, lambda: renormalised(prompts, none), lambda: padded_prefill(model, prompts, 10), users=users)
    )
    return rows


def exact(threads: int) -> list[Row]:
    """The exact top 10 against beam 10 on the trained model (the ratio is the price of exactness, below 1)."""
    import numpy as np

    from recbench_plugins.decoders.beam_search import BeamSearch
    from recbench_plugins.decoders.best_first import BestFirst

    model, split = load("tiny", threads, True)
    cases = split.test.take(np.linspace(0, len(split.test) - 1, 64).astype(int))
    prompts, none = model.encoder.prompts(cases), [set() for _ in range(64)]
    beam, best = BeamSearch(model, 10, False, 0.0), BestFirst(model, 10, 16)
    true = [{item for _, item in found[:10]} for found in best(prompts, none)]
    found = [{item for _, item in user} for user in beam(prompts, none)]
    share = sum(len(a & b) for a, b in zip(true, found, strict=True)) / (10 * len(true))
    title = f"tiny, 64 users: exact top 10 against beam 10 (which finds {share:.0%} of it)"
    return [duel(title, lambda: best(prompts, none), lambda: beam(prompts, none))]


def training(llm: str, threads: int, side: str = "") -> list[Row]:
    """One MSL step, forward and backward, against dense masks over full logits; with ``side``, that one's memory."""
    from peers import dense_mask, dict_trie, full_logit_loss

    from recbench import registry
    from recbench.training.answers import AnswerModel
    from recbench.training.text import Examples, collator

    model, split = load(llm, threads, False)
    size = 32 if llm == "tiny" else 8
    examples = Examples(model, split.train.take(range(size)))
    batch = collator(model.encoder.tokenizer.pad_token_id)([examples[i] for i in range(size)])
    plugin = registry.get("loss", "msl")
    loss = registry.load("loss", "msl")(plugin.options(tau=2.0, variant="official"))
    module = AnswerModel(model.lm, model.decoder, model.head, loss, model.encoder.trie)
    plain = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    root, vocabulary = dict_trie(model.encoder.answers), model.head.weight.shape[0]
    masks = [dense_mask(root, answer, vocabulary) for answer in examples.answers] if side != "ours" else []

    def ours() -> float:
        value = module(**batch)["loss"]
        value.backward()
        model.lm.zero_grad(set_to_none=True)
        return float(value.detach())

    def theirs() -> float:
        value = full_logit_loss(model.causal, plain, masks, 2.0)
        value.backward()
        model.lm.zero_grad(set_to_none=True)
        return float(value.detach())

    if side:
        print(json.dumps({"added": added({"ours": ours, "theirs": theirs}[side])}))
        return []
    a, b = ours(), theirs()
    assert abs(a - b) < 1e-5 * abs(b), f"the losses differ: {a} and {b}"
    label = "tiny" if llm == "tiny" else Path(llm).stem
    row = duel(f"{label}: MSL step of {size} windows against dense masks over full logits", ours, theirs, samples=size)
    grown = {s: memory(["--memory", s, "--llm", llm, "--threads", str(threads)]) for s in ("ours", "theirs")}
    row["memory"] = {s: found["added"] * 1024 for s, found in grown.items()}
    tokens = sum(len(model.encoder.answers[int(t)]) for t in split.train.target[:10_000])
    trie = model.encoder.trie
    sparse = 4 * tokens + trie.first.nbytes + trie.token.nbytes + trie.item.nbytes
    row["masks of 10,000 windows"] = {"ours": sparse, "theirs": tokens * vocabulary}
    return [row]


def tries(side: str = "", n: int = 1_000_000) -> list[Row]:
    """A million titles; each side in a process of its own, for its memory."""
    if not side:
        found = {s: memory(["--tries", s]) for s in ("ours", "theirs")}
        row: Row = {"name": f"trie of {n:,} titles against nested dictionaries"}
        row |= {s: [found[s]["seconds"]] for s in found}
        row["memory"] = {s: found[s]["added"] * 1024 for s in found}
        row["ratio"] = row["theirs"][0] / row["ours"][0]
        print(f"{row['name']}: {row['ours'][0]:.2f} s, {row['theirs'][0]:.2f} s", flush=True)
        return [row]
    import numpy as np
    from peers import dict_trie

    from recbench.prompts.trie import Trie

    draw = np.random.default_rng(0)
    lengths = draw.integers(8, 24, n)
    tokens = (draw.zipf(1.3, int(lengths.sum())) % 49_000 + 2).tolist()
    ends = np.cumsum(lengths)
    titles = list({(*tokens[e - k : e], 1): None for e, k in zip(ends.tolist(), lengths.tolist(), strict=True)})
    del tokens
    before = resident()
    seconds = time.perf_counter()
    kept = Trie.build(titles) if side == "ours" else dict_trie(titles)
    seconds = time.perf_counter() - seconds
    print(json.dumps({"seconds": seconds, "added": resident() - before, "nodes": len(kept)}))
    return []


def resident() -> int:
    """KiB of this process in memory now: what the structure keeps, not what its making passed through."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def added(action: Callable[[], Any]) -> int:
    """KiB by which the process grows while ``action`` runs, looked at every millisecond."""
    before, peak, running = resident(), [0], threading.Event()
    running.set()

    def look() -> None:
        while running.is_set():
            peak[0] = max(peak[0], resident())
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    action()
    running.clear()
    thread.join()
    return peak[0] - before


def memory(arguments: list[str]) -> dict[str, Any]:
    """What a fresh process with these arguments printed."""
    plain = {
        k: v for k, v in os.environ.items() if k not in MALLOC
    }  # untuned: freed blocks go back and are not counted
    plain["RECBENCH_BENCH"] = "1"
    done = subprocess.run([sys.executable, __file__, *arguments], env=plain, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--llm", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", choices=("ours", "theirs"))
    parser.add_argument("--tries", choices=("ours", "theirs"))
    chosen = parser.parse_args()
    if chosen.memory:
        training(chosen.llm, chosen.threads, chosen.memory)
        return
    if chosen.tries:
        tries(chosen.tries)
        return
    if "RECBENCH_BENCH" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC, "RECBENCH_BENCH": "1"})
    path = HERE / "results.json"
    kept = {row["name"]: row for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}
    work: list[Callable[[], list[Row]]] = [
        tries,
        lambda: decoding("tiny", 8, chosen.threads),
        lambda: decoding("tiny", 32, chosen.threads),
        lambda: exact(chosen.threads),
        lambda: training("tiny", chosen.threads),
    ]
    if chosen.llm:
        work += [lambda: decoding(chosen.llm, 8, chosen.threads), lambda: training(chosen.llm, chosen.threads)]
    for part in work:
        for row in part():
            kept[row["name"]] = row
        path.write_text(json.dumps({"machine": machine(chosen.threads), "rows": list(kept.values())}, indent=1) + "\n")
        from report import page

        (HERE / "RESULTS.md").write_text(page(json.loads(path.read_text())))


def machine(threads: int) -> dict[str, Any]:
    from recbench.results.environment import environment

    found = environment(f"CPU, {threads} threads")
    kept = {name: found[name] for name in ("device", "cpu", "cores", "python", "git_commit", "git_dirty")}
    return {**kept, "versions": found["versions"], "system": platform.platform()}


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
