"""Do the tests and intervals of the pages keep their promises? A simulation in which the truth is known.

    python benchmarks/calibration.py            # an hour on one quiet thread; 2,000 draws a line
    python benchmarks/calibration.py --only null --test-set toy    # the other parts and lines stay as they were

Writes ``benchmarks/CALIBRATION.md`` from ``benchmarks/calibration.json``. How systems are drawn: ``simulate.py``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from calibration_page import page  # noqa: E402
from deviations import coverage as deviation_coverage  # noqa: E402
from simulate import Drawn, System, TestSet, test_sets  # noqa: E402

from recbench.stats import compare, compare_all, holm, resolution, user_sums  # noqa: E402
from recbench.stats.resample import draw_counts  # noqa: E402
from recbench.types import CaseResults, Floats  # noqa: E402

ALPHA, RESAMPLES = 0.05, 999
MAIN = "ml-100k"
Rates = dict[str, float]


@dataclass(frozen=True)
class Question:
    """Two systems to draw again and again.

    Attributes:
        name: of the line.
        test: the test set.
        a, b: the systems; the same one twice: nothing differs.
        seeds: of A and of B.
        seed_sd: what a seed does to all cases, for A and B; None: as their records say.
        swap: A and B change places within half of the users, so that their means are equal and users still differ.
        planted: what the difference of the means is made to be, in proportion to what B finds for the case; None: as
            recorded.
    """

    name: str
    test: TestSet
    a: System
    b: System
    seeds: tuple[int, int] = (5, 5)
    seed_sd: float | None = None
    swap: bool = False
    planted: float | None = None

    def draw(self, rng: np.random.Generator) -> tuple[Drawn, Drawn, float, float]:
        """Results of A and B, their true difference, and the true difference given these seeds."""
        users, rows = self.test.draw_users(rng)
        (a, moved_a), (b, moved_b) = (
            self.test.run(s, users, rows, n, s.seed_sd if self.seed_sd is None else self.seed_sd, rng)
            for s, n in zip((self.a, self.b), self.seeds, strict=True)
        )
        truth = float(self.a.mean.mean() - self.b.mean.mean())
        if self.swap:
            swapped = rng.random(len(users))[a.users] < 0.5
            a, b = (replace(x, values=np.where(swapped, y.values, x.values)) for x, y in ((a, b), (b, a)))
            truth = 0.0
        if self.planted is not None:
            share = self.b.mean / self.b.mean.mean()
            a = replace(a, values=values_of(a) + (self.planted - truth) * share[rows])
            truth = self.planted
        return a, b, truth, truth + moved_a - moved_b


def values_of(results: CaseResults) -> Floats:
    assert isinstance(results, Drawn)
    assert results.values is not None
    return results.values


def asked(question: Question, draws: int) -> Rates:
    """Shares of the draws in which each test finds a difference and each interval holds the truth."""
    rng, counts = np.random.default_rng(1), dict[str, int]()
    for i in range(draws):
        a, b, truth, given = question.draw(rng)
        c = compare(a, b, values_of, resamples=RESAMPLES, seed=i)
        within = drawn_within(a, b, i)
        found = {
            "permutation": c.p < ALPHA,
            "by user": c.p_by_user < ALPHA,
            "interval, users": excludes(c.interval, 0),
            "interval, users and seeds": excludes(c.interval_two_level, 0),
            "p, users and seeds": c.p_two_level < ALPHA,
            "mark": c.differs(c.p_claim),
            "covers, users": not excludes(c.interval, given),
            "covers, users and seeds": not excludes(c.interval_two_level, truth),
            "covers, seeds within users": not excludes(within[0], truth),
            "covers, the same scaled": not excludes(within[1], truth),
            **(cases_alone(a, b) if question.planted is None and truth == 0 else {}),
        }
        for name, yes in found.items():
            counts[name] = counts.get(name, 0) + bool(yes)
    return {name: count / draws for name, count in counts.items()}


def excludes(interval: tuple[float, float], value: float) -> bool:
    return not interval[0] <= value <= interval[1]


def cases_alone(a: Drawn, b: Drawn) -> dict[str, bool]:
    """Tests that the pages do not use, since they treat cases as independent."""
    rows = values_of(a).mean(axis=0) - values_of(b).mean(axis=0)
    t = rows.mean() / rows.std(ddof=1) * len(rows) ** 0.5
    return {
        "t, cases": 2 * stats.t.sf(abs(t), len(rows) - 1) < ALPHA,
        "Wilcoxon, cases": stats.wilcoxon(rows).pvalue < ALPHA,
    }


def drawn_within(a: Drawn, b: Drawn, seed: int) -> list[tuple[float, float]]:
    """The earlier two-level bootstrap (seeds drawn within drawn users, S of S), and with deviations scaled."""
    rng, sums = np.random.default_rng(seed), user_sums([a, b], values_of)
    drawn = draw_counts(RESAMPLES, sums.n_users, rng)
    moved = [np.zeros(RESAMPLES), np.zeros(RESAMPLES)]
    for run, sign in zip(sums.sums, (1, -1), strict=True):
        by_seed = drawn @ run.T / (drawn @ sums.counts)[:, None]
        seeds = len(run)
        mean = by_seed.mean(axis=1)
        extra = (by_seed * draw_counts(RESAMPLES, seeds, rng)).sum(axis=1) / seeds - mean
        for i, scale in enumerate((1.0, (seeds / (seeds - 1)) ** 0.5)):
            moved[i] += sign * (mean + scale * extra)
    return [tuple(np.quantile(x, [0.025, 0.975]).tolist()) for x in moved]


def whole_page(test: TestSet, system: System, seed_sd: float, runs: int, draws: int) -> Rates:
    """Pages of several rows that are one system: how often anything is marked."""
    rng, names = (
        np.random.default_rng(2),
        ("any mark", "any permutation p, Holm over all pairs", "any larger p, Holm over those with the best"),
    )
    counts = dict.fromkeys(names, 0)
    for i in range(draws):
        users, rows = test.draw_users(rng)
        results = [test.run(system, users, rows, 5, seed_sd, rng)[0] for _ in range(runs)]
        results.sort(key=lambda r: -values_of(r).mean())
        pairs = list(itertools.combinations(range(runs), 2))
        found = compare_all(results, values_of, pairs=pairs, resamples=RESAMPLES, seed=i)
        marked = holm([c.p_claim for c in found])
        with_best = holm([c.p_claim for c, pair in zip(found, pairs, strict=True) if pair[0] == 0])
        yes = (
            any(c.differs(p) for c, p in zip(found, marked, strict=True)),
            (holm([c.p for c in found]) < ALPHA).any(),
            (with_best < ALPHA).any(),
        )
        for name, happened in zip(names, yes, strict=True):
            counts[name] += bool(happened)
    return {name: count / draws for name, count in counts.items()}


def typical_pair(test: TestSet, smallest: float) -> tuple[System, System]:
    """The two systems whose own resolution is nearest to that of the test set, which is a median over pairs.

    Of those that differ by less than it: a difference is planted in proportion to what B finds, so the more has to be
    moved, the less the pair is like the recorded one.
    """
    systems = list(test.systems.values())

    def distance(pair: tuple[int, int]) -> float:
        two = replace(test.sums, sums=tuple(test.sums.sums[run] for run in pair))
        return abs(resolution(two) - smallest)

    near = [
        (a, b)
        for a, b in itertools.combinations(range(len(systems)), 2)
        if abs(systems[a].mean.mean() - systems[b].mean.mean()) < smallest
    ]
    a, b = min(near, key=distance)
    return systems[a], systems[b]


def stated(question: Question, draws: int = 200) -> float:
    """The mean resolution that pages of the drawn results would state.

    It is larger than that of the records: drawing seeds anew gives each user their scatter over seeds once more.
    """
    rng = np.random.default_rng(3)
    drawn = (question.draw(rng)[:2] for _ in range(draws))
    return float(np.mean([resolution(user_sums(pair, values_of)) for pair in drawn]))


def speed(users: int = 5_000, systems: int = 10, seeds: int = 5, resamples: int = 10_000) -> Rates:
    """Seconds for all pairs of systems, on one thread."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(users), rng.integers(1, 10, size=users)).astype(np.int32)
    none = np.zeros(len(owner), np.int32)
    results = [
        Drawn(
            *(owner, none[None], none.astype(bool), none, none, tuple(range(seeds))),
            values=rng.random((seeds, len(owner))),
        )
        for _ in range(systems)
    ]
    start = time.process_time()
    pairs = len(compare_all(results, values_of, resamples=resamples))
    seconds = time.process_time() - start
    return {"systems": systems, "pairs": pairs, "users": users, "seeds": seeds, "draws": resamples, "seconds": seconds}


def noisiest(test: TestSet) -> tuple[str, System]:
    """The system with the largest seed effect, and its name."""
    name = max(test.systems, key=lambda name: test.systems[name].seed_sd)
    return name, test.systems[name]


def questions() -> dict[str, list[Question]]:
    """What is drawn, by table of the page; more on the main test set, whose users are few and quick to draw."""
    null, truth, power = [], [], []
    for name, test in test_sets().items():
        main, found = name.startswith(MAIN), test.systems
        sasrec, msl, lml = found["sasrec + ce"], found["bigrec + msl"], found["bigrec + lml"]
        called, noisy = noisiest(test)
        null += [
            Question(f"{name}: sasrec twice, seeds alike", test, sasrec, sasrec, seed_sd=0.0),
            Question(f"{name}: bigrec + msl twice, seeds alike", test, msl, msl, seed_sd=0.0),
            Question(
                f"{name}: sasrec and bigrec + msl, users swapped, seeds alike",
                test,
                sasrec,
                msl,
                seed_sd=0.0,
                swap=True,
            ),
            *(
                Question(f"{name}: {called} twice (the largest seed effect), {n} seeds", test, noisy, noisy, (n, n))
                for n in ((5, 3, 2) if main else (3,))
            ),
        ]
        truth += [
            Question(f"{name}: sasrec, bigrec + msl", test, sasrec, msl),
            Question(f"{name}: bigrec + msl, bigrec + lml", test, msl, lml),
        ]
        typical = Question("", test, *typical_pair(test, resolution(test.sums)), planted=0.0)
        smallest = stated(typical)
        power += [
            replace(typical, name=f"{name}: {x:g} x the resolution ({smallest:.4f})", planted=x * smallest)
            for x in ((0.5, 1.0, 1.5) if main else (1.0,))
        ]
    return {"null": null, "truth": truth, "power": power}


def measured(kept: Path) -> dict[str, Any]:
    """What was measured before."""
    return json.loads(kept.read_text()) if kept.is_file() else {}


def lines(asking: list[Question], chosen: str, draws: int, part: str, kept: Path) -> dict[str, Rates]:
    """The chosen lines of a part; the others as they were, if they had as many draws."""
    rates = {q.name: asked(q, draws) for q in asking if q.name.startswith(chosen)}
    before = measured(kept).get(part, {})
    same = before.get("rates", {}) if before.get("draws") == draws else {}
    return {q.name: rates.get(q.name) or same[q.name] for q in asking if q.name in {**rates, **same}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--only", default="", help="null, truth, power, page, deviation or speed; the others stay")
    parser.add_argument("--test-set", default="", help="lines of null, truth and power that begin so; the others stay")
    chosen = parser.parse_args()
    kept = HERE / "calibration.json"
    asking = questions()
    test = next(found for name, found in test_sets().items() if name.startswith(MAIN))
    called, noisy = noisiest(test)
    parts = {
        **{part: lambda part=part: lines(asking[part], chosen.test_set, chosen.draws, part, kept) for part in asking},
        "page": lambda: {
            f"5 rows of {called}, seeds {name}": whole_page(test, noisy, sd, 5, chosen.draws)
            for name, sd in (("alike", 0.0), ("as recorded", noisy.seed_sd))
        },
        "deviation": lambda: deviation_coverage(test, chosen.draws),
        "speed": speed,
    }
    for name, part in parts.items():
        if chosen.only in ("", name):
            start, rates = time.process_time(), part()
            found = measured(kept)
            kept.write_text(json.dumps({**found, name: {"draws": chosen.draws, "rates": rates}}, indent=1) + "\n")
            print(f"{name}: {time.process_time() - start:.0f} s of CPU time", flush=True)
    found = measured(kept)
    if set(parts) <= set(found):
        (HERE / "CALIBRATION.md").write_text(page(found))


if __name__ == "__main__":
    main()
