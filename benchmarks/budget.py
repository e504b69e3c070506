"""What a pretrained model learns in a fixed time: targets, layers and adapters against each other at equal seconds.

    python benchmarks/budget.py --data-dir DIR/toy --seconds 600

Every arm trains BIGRec with MSL at temperature 1 from the same seed, for the same seconds of CPU time of training alone
(one thread, so that other work on the machine hardly counts). At each mark it measures the log-likelihood of the same
validation windows' targets, renormalised over valid tokens, which is also what it trains. At the end it ranks
validation windows, too: NDCG@10 needs far more windows than a CPU ranks in this time, while the log-likelihood tells
arms apart on few. The learning rate is constant after its warm-up, so that every mark is the end of a training of that
length. Arms are finished steps in the store: an interrupted benchmark continues (after a change of this file, remove
--runs). Writes BUDGET.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from recbench.errors import RecbenchError
from recbench.experiment import ready
from recbench.interfaces import Score
from recbench.planning import Plan, plan
from recbench.progress import reporter
from recbench.results.environment import environment
from recbench.spec.request import Request
from recbench.steps.executor import Serial
from recbench.steps.graph import graph
from recbench.steps.remote import store_of
from recbench.steps.step import Step, Work
from recbench.steps.tuned import TunedModel
from recbench.training.answers import AnswerModel
from recbench.training.segments import segment_logsumexp
from recbench.training.text import Examples, collate

ARMS: dict[str, dict[str, Any]] = {
    "every layer, the last title": {},
    "every layer, every title": {"train.targets": "all"},
    "adapters in the last 10 layers": {"llm.adapt_last": 10},
    "the first 20 layers": {"llm.layers": 20},
    "the first 10 layers": {"llm.layers": 10},
}
MARKS = (0.25, 0.5, 1.0)
ALIKE = {
    "loss.tau": 1,
    "train.epochs": 1,
    "train.samples": 0,
    "train.batch_size": 16,
    "train.schedule": "constant",
    "train.warmup_steps": 5,
    "train.warmup_share": 0,
    "train.targets": "last",
    "llm.template": "titles",
    "llm.lora_rank": 16,
    "llm.lora_alpha": 32,
    "llm.lora_dropout": 0,
    "llm.lora_targets": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}


class Over(Exception):
    """The time is over."""


class Clock:
    """Stops a training at each mark of its time to measure it; what measuring takes does not count."""

    def __init__(self, marks: Sequence[float], measure: Any) -> None:
        self.marks, self.measure = list(marks), measure
        self.points: list[dict[str, Any]] = []
        self.started = 0.0

    def __call__(self, step: int, steps: int, module: AnswerModel) -> None:
        """A probe of :func:`recbench.training.text.tune`."""
        now = time.process_time()
        if step == 0:
            self.started = now
            self.points.append({"seconds": 0.0, "steps": 0, **self.measure(module, last=False)})
        elif now - self.started >= self.marks[0]:
            seconds, _ = now - self.started, self.marks.pop(0)
            self.points.append({"seconds": seconds, "steps": step, **self.measure(module, last=not self.marks)})
            if not self.marks:
                raise Over
        self.started += time.process_time() - now


def likelihoods(module: AnswerModel, examples: Examples) -> list[float]:
    """The log-likelihood of each example's title, where there is a choice, over the valid tokens."""
    found: list[float] = []
    with torch.no_grad():
        for number in range(len(examples)):
            batch = module.answers(**collate([examples[number]]))
            values, position, positive = batch.valid_logits()
            found.append(float((values[positive] - segment_logsumexp(values, position, len(batch))).sum()))
    return found


@dataclass(frozen=True, eq=False)
class Budgeted(Step):
    """A training of so many seconds, measured at each mark."""

    tuned: TunedModel
    seconds: float
    cases: int

    kind = "budgeted"
    phase = "training"

    @property
    def title(self) -> str:
        return f"{self.tuned.title}, {self.seconds:.0f} s"

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"tuned": self.tuned.folder, "seconds": self.seconds, "cases": self.cases, "marks": MARKS}

    @property
    def needs(self) -> Mapping[str, Step]:
        return self.tuned.needs

    @property
    def methods(self) -> Any:
        return self.tuned.methods

    @property
    def machine(self) -> Any:
        return self.tuned.setting.machine

    def build(self, folder: Path, work: Work) -> None:
        from recbench.steps.text import untuned

        tuned, split = self.tuned, work.value(self.needs["prepare"])
        model, backbone = untuned(tuned.recommender, tuned.setting, self.needs, work)
        chosen = np.linspace(0, len(split.valid) - 1, min(self.cases, len(split.valid))).astype(int)
        examples = Examples(model, split.valid.take(chosen), choices=True)
        rank = tuned.setting.validation(tuned.recommender, model, split, work)
        assert rank is not None

        def measure(module: AnswerModel, last: bool) -> dict[str, Any]:
            module.eval()
            found: dict[str, Any] = {"likelihood": likelihoods(module, examples)}
            if last:
                score = Score.of(rank())
                found |= {"ndcg": float(score), "error": score.error}
            module.train()
            return found

        clock = Clock([mark * self.seconds for mark in MARKS], measure)
        try:
            tuned.train(model, backbone, work, clock)
        except Over:
            (folder / "points.json").write_text(json.dumps(clock.points))
        else:
            raise RecbenchError(f"{self.title}: the windows were used up before the time was; give fewer --seconds.")

    def load(self, folder: Path, work: Work, made: Any = None) -> Any:
        return json.loads((folder / "points.json").read_text())


def planned(arm: str, args: argparse.Namespace) -> Plan:
    """An arm as an experiment."""
    request = Request(
        model="bigrec",
        loss="msl",
        dataset="prepared",
        data_dir=str(args.data_dir),
        llm=args.llm,
        seeds=[1],
    )
    options = {**ALIKE, "train.learning_rate": args.rate, "evaluate.validation_cases": args.rank, "machine.threads": 1}
    return plan(request.with_options({**options, **ARMS[arm]}, "budget.py"))


def interval(mine: Sequence[float], first: Sequence[float]) -> str:
    """The mean difference of two arms on the same cases, with its 95 % t interval."""
    found = stats.ttest_1samp(np.subtract(mine, first), 0).confidence_interval()
    return f"{np.mean(np.subtract(mine, first)):+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def page(rows: Mapping[str, Sequence[Mapping[str, Any]]], args: argparse.Namespace) -> str:
    """BUDGET.md."""
    first = next(iter(rows))
    marks = [f"{mark:.0%}" for mark in MARKS]
    lines = [
        "# What a pretrained model learns in a fixed time",
        "",
        f"Made by `python benchmarks/budget.py --seconds {args.seconds:.0f} --cases {args.cases} --rank {args.rank} "
        f"--rate {args.rate}` on {Path(args.data_dir).name} with {args.llm}: BIGRec + MSL at temperature 1, one seed, "
        f"one thread, fp32, {environment('cpu', 1)['cpu']}. Every arm trains for {args.seconds:.0f} seconds of CPU "
        "time; measuring does not count. The log-likelihood is of the target's whole title among valid tokens, the "
        f"mean over {args.cases} validation windows. Differences are to the first row at the same mark, with a 95 % "
        f"interval over these windows. The interval says nothing about other seeds. NDCG@10 is of {args.rank} "
        "validation windows at the end, with its standard error.",
        "",
        f"| arm | untrained | {' | '.join(f'log-likelihood at {mark}' for mark in marks)} | "
        f"{' | '.join(f'difference at {mark}' for mark in marks)} | windows read | NDCG@10 |",
        "| --- |" + " ---: |" * (2 * len(marks) + 3),
    ]
    for name, points in rows.items():
        means = [f"{np.mean(point['likelihood']):.2f}" for point in points]
        over = [
            "–" if name == first else interval(point["likelihood"], other["likelihood"])
            for point, other in zip(points[1:], rows[first][1:], strict=True)
        ]
        end = points[-1]
        windows = f"{end['steps'] * ALIKE['train.batch_size']:,}"
        lines.append(f"| {' | '.join([name, *means, *over, windows])} | {end['ndcg']:.4f} ± {end['error']:.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="released Book or Toy")
    parser.add_argument("--llm", default="smollm2-135m")
    parser.add_argument("--seconds", type=float, default=600, help="of training, for each arm")
    parser.add_argument("--cases", type=int, default=200, help="validation windows for the log-likelihood")
    parser.add_argument("--rank", type=int, default=250, help="validation windows that are ranked at the end")
    parser.add_argument("--rate", type=float, default=0.0005)
    parser.add_argument("--runs", type=Path, default=Path("runs/budget"))
    parser.add_argument("--only", action="append", choices=list(ARMS), help="an arm; repeatable")
    args = parser.parse_args()
    store, rows = store_of(args.runs), {}
    for arm in args.only or ARMS:
        found = planned(arm, args)
        tuned = graph(found.spec, 1).model
        assert isinstance(tuned, TunedModel)
        step = Budgeted(tuned, args.seconds, args.cases)
        ready(found.spec, store, [step])
        with store.using(step.closure()), reporter() as progress:
            rows[arm] = Serial(store, progress).value(step)
        print(arm, [round(float(np.mean(point["likelihood"])), 3) for point in rows[arm]], flush=True)
    Path(__file__).with_name("BUDGET.md").write_text(page(rows, args))


if __name__ == "__main__":
    main()
