"""A pretrained model on a GPU: training steps, searches, precisions, and FlexAttention against our grid on SDPA.

    python benchmarks/cuda.py --llm smollm2-135m      # about ten minutes; `make gpu` runs it behind the tests
    python benchmarks/cuda.py --device cpu --windows 4 --users 2 --rounds 1    # that it runs, without a GPU

Writes ``benchmarks/cuda.json`` and ``CUDA.md`` with the device's name, or prints them on a CPU. Nobody's results are
compared here: that is what tests/gpu does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from flex import flex, rows_of  # noqa: E402
from measure import timed  # noqa: E402

Row = dict[str, Any]


class Measured:
    """Times work on a device, with the memory that it takes there."""

    def __init__(self, device: str, rounds: int) -> None:
        self.device, self.rounds = device, rounds
        self.rows: list[Row] = []

    def __call__(self, name: str, work: Callable[[], Any], each: int, what: str) -> None:
        """Seconds of ``rounds`` calls after one that warms up; ``each`` is how many of ``what`` a call does."""
        self._done(work)
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = sorted(timed(partial(self._done, work)) for _ in range(self.rounds))
        peak = torch.cuda.max_memory_allocated() if self.device == "cuda" else None
        rate = each / statistics.median(seconds)
        self.rows.append({"name": name, "seconds": seconds, "rate": rate, "what": what, "peak_bytes": peak})
        print(f"{name}: {statistics.median(seconds):.3f} s, {rate:,.1f} {what} a second", flush=True)

    def _done(self, work: Callable[[], Any]) -> None:
        work()
        if self.device == "cuda":
            torch.cuda.synchronize()


def loaded(llm: str, device: str, targets: str = "last", **options: Any) -> tuple[Any, Any]:
    """The model with adapters, untrained, and ml-100k."""
    from recbench.interfaces import SilentReporter
    from recbench.planning import plan
    from recbench.process import begin
    from recbench.spec.request import Request
    from recbench.steps.executor import Serial
    from recbench.steps.graph import graph
    from recbench.steps.store import Store
    from recbench.steps.text import untuned

    chosen: dict[str, dict[str, Any]] = {"llm": options, "train": {"targets": targets}, "machine": {"threads": 1}}
    request = Request(model="bigrec", loss="msl", llm=llm, device=device, preset="paper", options=chosen)
    spec = plan(request).spec
    begin(spec.machine)
    executor, steps = Serial(Store(HERE.parent / "runs/bench/steps"), SilentReporter()), graph(spec, 1)
    executor.run(steps.model.needs.values())
    model, _ = untuned(spec.recommender, steps.ranked.setting, steps.model.needs, executor)
    return model, executor.value(steps.prepared)


def training(measured: Measured, title: str, llm: str, windows: int, targets: str, **options: Any) -> None:
    """An MSL step, forward and backward."""
    from recbench import registry
    from recbench.training.answers import AnswerModel
    from recbench.training.text import Examples, collate

    model, split = loaded(llm, measured.device, targets, **options)
    msl = registry.get("loss", "msl")
    module = AnswerModel(model, msl.implementation(msl.options())).to(measured.device).train()
    chosen = split.train.take(np.linspace(0, len(split.train) - 1, windows).astype(int))
    examples = Examples(model, chosen, choices=True, every=targets == "all")
    kept = collate([examples[n] for n in range(windows)])
    batch = {name: v.to(measured.device) if torch.is_tensor(v) else v for name, v in kept.items()}
    half = torch.autocast(measured.device, torch.bfloat16, enabled=options.get("precision") == "bf16")

    def step() -> None:
        with half:
            value = module(batch)["loss"]
        value.backward()
        module.zero_grad(set_to_none=True)

    measured(f"MSL step of {windows} windows, targets={targets}, {title}", step, windows, "windows")


def searching(measured: Measured, title: str, llm: str, users: int, **options: Any) -> None:
    """Beam search and the exact top ten, all users in one batch."""
    from recbench.search.beam import BeamSearch
    from recbench.search.best_first import BestFirst

    model, split = loaded(llm, measured.device, **options)
    model.lm.eval()
    cases = split.test.take(np.linspace(0, len(split.test) - 1, users).astype(int))
    prompts, none = list(model.encoder.prompts(cases.histories())), [set[int]() for _ in range(users)]
    for name, search in (("beam 10", BeamSearch(model, 10, False, 0.0)), ("exact top 10", BestFirst(model, 10, 16))):
        with torch.inference_mode():
            measured(f"{name}, {users} users a batch, {title}", partial(search, prompts, none), users, "users")


def attention(measured: Measured, windows: int) -> None:
    """One layer of SmolLM2's shape on packed rows, forward: our grid on SDPA, and FlexAttention."""
    from recbench.testing import tiny_text_model

    device = measured.device
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    lengths = torch.randint(60, 240, (windows,), device=device)
    shared = 64
    ids = torch.zeros(shared + int(lengths.sum()), dtype=torch.long, device=device)
    query = torch.randn(len(ids), 9, 64, device=device, dtype=dtype)
    key, value = torch.randn(2, len(ids), 3, 64, device=device, dtype=dtype)
    _, plan = tiny_text_model().hidden_states._plan(ids, lengths, shared, None)
    theirs = flex(*rows_of(lengths, shared), shared, compiled=device == "cuda")
    both = {
        "ours": lambda: plan.attend(0, query, key, value, 0.125, 0.0),
        "flex": lambda: theirs(query, key, value, 0.125),
    }
    with torch.no_grad():
        gap = float((both["ours"]() - both["flex"]()).abs().max())
        assert gap < 0.05, f"the two attentions differ by {gap}"
        for name, work in both.items():
            title = {"ours": "recbench's grid on SDPA", "flex": "FlexAttention"}[name]
            measured(f"attention of one layer, {windows} rows, {len(ids):,} tokens, {title}", work, windows, "rows")


def page(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        "# On a GPU",
        "",
        f"Generated by `make gpu`. {found['llm']} on {found['device']}, {found['cpu']}, Python {found['python']}, "
        f"{versions}; commit {(found['git_commit'] or 'unknown')[:8]}{' with changes' if found['git_dirty'] else ''}. "
        "Seconds: median [least, most] after a first call. Peak: memory that torch had allocated on the device.",
        "",
        "| what | seconds | a second | peak |",
        "| --- | --- | ---: | ---: |",
    ]
    for row in found["rows"]:
        seconds = f"{statistics.median(row['seconds']):.3g} [{row['seconds'][0]:.3g}, {row['seconds'][-1]:.3g}]"
        peak = "–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e9:.2f} GB"
        lines.append(f"| {row['name']} | {seconds} | {row['rate']:,.1f} {row['what']} | {peak} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="smollm2-135m")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--windows", type=int, default=128, help="of a training step")
    parser.add_argument("--users", type=int, default=256, help="of a batch of a search")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("benchmarks/cuda.py needs a CUDA device, and torch sees none here.")
    from recbench.results.environment import environment

    measured, llm = Measured(chosen.device, chosen.rounds), chosen.llm
    attention(measured, chosen.windows)
    precisions = ("fp32", "bf16") if chosen.device == "cuda" else ("fp32",)
    for precision in precisions:
        for targets in ("last", "all"):
            training(measured, precision, llm, chosen.windows, targets, precision=precision)
        searching(measured, precision, llm, chosen.users, precision=precision)
    if chosen.device == "cuda":
        for bits in (8, 4):
            training(measured, f"{bits} bits", llm, chosen.windows, "last", bits=bits, precision="bf16")
    found = {"llm": llm, **environment(chosen.device, 1), "rows": measured.rows}
    if chosen.device == "cpu":
        print(page(found))
        return
    (HERE / "cuda.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "CUDA.md").write_text(page(found))


if __name__ == "__main__":
    main()
