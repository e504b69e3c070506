"""Whether runs scatter differently over seeds, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recbench.errors import UsageError
from recbench.evaluation import metric as metric_of
from recbench.pages.blocks import NONE, Block, Paragraph, Table
from recbench.pages.compare import counted, number, p_text
from recbench.results import RunRecord
from recbench.stats import DeviationRatio, deviation_ratio, holm, seeds_for_ratio


@dataclass(frozen=True)
class DeviationPair:
    """Two runs whose deviation over seeds was declared to be compared.

    Attributes:
        name_a, name_b: what to call them.
        a, b: the runs, with two seeds or more each.
        published: data set -> the paper's standard deviation of A over that of B; may be empty.
    """

    name_a: str
    a: RunRecord
    name_b: str
    b: RunRecord
    published: Mapping[str, float] = field(default_factory=dict)


def deviations(pairs: Sequence[DeviationPair], metric: str = "NDCG@10") -> list[Block]:
    """A table of ratios of standard deviations over seeds, and what so many seeds can say; nothing for no pair.

    Args:
        pairs: one family, Holm-corrected together.
        metric: the metric whose mean over cases scatters.

    Raises:
        UsageError: an unknown metric, a run with one seed, or two runs evaluated on different test cases.
    """
    if not pairs:
        return []
    chosen = metric_of(metric)
    for pair in pairs:
        if pair.a.cases.digest != pair.b.cases.digest:
            raise UsageError(f"{pair.a.run} and {pair.b.run} were evaluated on different test cases")
    found = [deviation_ratio(*(chosen.by_seed(run.case_results()) for run in (pair.a, pair.b))) for pair in pairs]
    corrected = holm([1.0 if ratio.p != ratio.p else ratio.p for ratio in found])
    datasets = list(dict.fromkeys(name for pair in pairs for name in pair.published))
    head = ("A", "B", "seeds", "sd of A", "sd of B", "sd A / sd B", "95 % interval", "p", "p (Holm)")
    rows = [
        (
            pair.name_a,
            pair.name_b,
            f"{r.seeds_a}, {r.seeds_b}",
            f"{r.sd_a:.4f}",
            f"{r.sd_b:.4f}",
            number(r.ratio, ".2f", NONE),
            _interval(r),
            NONE if r.p != r.p else p_text(r.p),
            p_text(p),
            *(number(pair.published[name], ".2f") if name in pair.published else NONE for name in datasets),
        )
        for pair, r, p in zip(pairs, found, corrected.tolist(), strict=True)
    ]
    note = (
        f"Standard deviations of {metric} over seeds, {counted(len(pairs), 'pair')}, one family. F test and interval, "
        "which take the seeds' means as normal."
    )
    return [
        Table((*head, *(f"{name}, published" for name in datasets)), tuple(rows), words=2),
        Paragraph(note),
        *(Paragraph(_reading(pair, r, p)) for pair, r, p in zip(pairs, found, corrected.tolist(), strict=True)),
    ]


def _interval(ratio: DeviationRatio) -> str:
    low, high = ratio.interval
    return NONE if low != low else f"{low:.2f} to {high:.2f}"


def _reading(pair: DeviationPair, r: DeviationRatio, p: float) -> str:
    """What the pair's seeds show and what they could."""
    low, high = r.interval
    shown = (
        f"{pair.name_a} scatters {'more' if r.ratio > 1 else 'less'} than {pair.name_b} here"
        if p <= 0.05
        else f"No difference in deviation is shown between {pair.name_a} and {pair.name_b}"
    )
    text = (
        f"{shown}. With {r.seeds_a} and {r.seeds_b} seeds, an observed ratio must exceed {r.shown_from:.1f} (or its "
        f"inverse) before any correction, and a true one must be {r.detectable:.1f} to be shown with 80 % power."
    )
    for name, ratio in pair.published.items():
        seeds = seeds_for_ratio(ratio)
        needed = f"{seeds} seeds each show it" if seeds else "no 1,000 seeds show it"
        within = "within" if low <= ratio <= high else "outside"
        text += f" The published {ratio:.1f} ({name}) is {within} the interval; {needed} with 80 % power."
    return text
