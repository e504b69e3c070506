"""The page of a run: its numbers, how its training went, ten cases, what made it, and how to repeat and cite it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from recbench.evaluation import available
from recbench.pages.blocks import NONE, figure
from recbench.pages.code import SHORT
from recbench.pages.compare import counted
from recbench.pages.records import command_of
from recbench.pages.rows import METRIC, Row, Section
from recbench.pages.training import best_epochs, watched
from recbench.results import RunRecord, SeedResult
from recbench.site.board import memory, seconds, shown_mark, value_with_spread
from recbench.site.cases import cases
from recbench.site.export import bibtex, latex_row
from recbench.site.html import Child, Html, el, folded, join, lines, named, table
from recbench.site.plots import Series, line_plot
from recbench.site.views import View

LOGGED = 60


def run_page(row: Row, section: Section, pieces: list[View]) -> Html:
    """What the page shows.

    Args:
        row: the run.
        section: the test set that it was evaluated on.
        pieces: the section's rows on the parts of the test set.
    """
    record = row.record
    labels = [("run", record.run), ("decoder", record.labels.decoder), ("language model", record.labels.llm)]
    chips = [el("li", el("span", what), named(text, 120)) for what, text in labels if text]
    return join(
        el("p", "Run", class_="over"),
        el("h1", named(" + ".join(part for part in (record.labels.method, record.labels.loss) if part), 300)),
        el("ul", *chips, class_="chips") if chips else None,
        _facts(row, section),
        _again(record),
        _metrics(row),
        _parts(row, pieces),
        _training(record),
        cases(record),
        _made(record),
        _export(row),
    )


def _facts(row: Row, section: Section) -> Html:
    mean, sd = row.metrics[METRIC]
    facts: list[tuple[Child, str]] = [
        (value_with_spread(mean, sd), METRIC),
        (str(row.place), f"place of {counted(len(section.rows), 'row')}"),
        (shown_mark(row.best), "against the best row"),
        (str(len(row.record.seeds)), "seed" if len(row.record.seeds) == 1 else "seeds"),
        (seconds(row.training)[0], "training a seed"),
        (seconds(row.decoding)[0], "decoding a seed"),
        (memory(row)[0], "peak memory"),
    ]
    if epochs := best_epochs(row.record):
        facts.append((epochs, "best epoch, by seed"))
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for value, name in facts), class_="facts")


def _again(record: RunRecord) -> Html:
    return el("section", el("h2", "Run it again"), copied(command_of(record), "Command"))


def copied(text: str, what: str) -> Html:
    """Text to copy, with a button that does it; ``what`` it is, for those who listen."""
    box = el("pre", el("code", lines(text)), tabindex=0, role="region", aria_label=what)
    return el("div", box, el("button", "Copy", type="button", class_="copy js"), class_="code")


def _metrics(row: Row) -> Html:
    results = row.record.case_results()
    names = [str(seed.seed) for seed in row.record.seeds]
    rows: list[list[Child]] = []
    for m in available(results):
        mean, sd = row.metrics[m.name]
        by_seed = m.by_seed(results).tolist() if len(names) > 1 else []
        spread = NONE if sd is None else figure(sd)
        rows.append([el("span", m.name, title=m.plugin.summary), figure(mean), spread, *map(figure, by_seed)])
    head: list[Child] = ["Metric", "mean", "sd", *(f"seed {name}" for name in names if len(names) > 1)]
    return el("section", el("h2", "Metrics"), table(head, rows, "Metrics by seed"))


def _parts(row: Row, pieces: list[View]) -> Html | None:
    rows: list[list[Child]] = []
    for piece in pieces:
        if (seen := piece.rows[row.rank - 1]) is not None:
            low, high = seen.interval
            shown = NONE if low != low else f"{low:.4f} to {high:.4f}"
            mean, sd = seen.metrics[METRIC]
            rows.append([piece.name, f"{piece.cases:,}", f"{piece.users:,}", value_with_spread(mean, sd), shown])
    if not rows:
        return None
    head: list[Child] = ["Part of the test set", "cases", "users", METRIC, "95 %, users and seeds"]
    return el("section", el("h2", "Parts of the test set"), table(head, rows, f"{METRIC} on parts of the test set"))


# ---- training ------------------------------------------------------------------------------------------------------


def _training(record: RunRecord) -> Html | None:
    seeds = record.seeds
    drawn = [
        _curve("Loss", "step", {f"seed {s.seed}": s.losses for s in seeds}),
        _curve(f"Validation {METRIC}", "epoch", {f"seed {s.seed}": _epochs(s) for s in seeds}, dots=True),
    ]
    names = list(dict.fromkeys(name for s in seeds for name in s.course))
    drawn += [_curve(name, "step", {f"seed {s.seed}": s.course.get(name, ()) for s in seeds}) for name in names]
    shown = [one for one in drawn if one]
    ended = watched(record)
    if not shown and not ended:
        return None
    parts: list[Child] = [el("h2", "Training"), el("div", *shown, class_="pair")]
    if ended:
        rows: list[list[Child]] = [
            [name, *(f"{v:.4g}" for v in values)] for name, values in ended.items() if len(values) == len(seeds)
        ]
        head: list[Child] = ["Watched, at the end of training", *(f"seed {s.seed}" for s in seeds)]
        parts.append(table(head, rows, "What was watched in training"))
        if not names:
            parts.append(
                el(
                    "p",
                    "This record keeps only the last of these values; newer records keep their course.",
                    class_="note",
                )
            )
    return el("section", *parts)


def _epochs(seed: SeedResult) -> tuple[tuple[int, float | None], ...]:
    return tuple(enumerate(seed.validation, start=1))


def _curve(
    title: str, axis: str, found: dict[str, tuple[tuple[int, float | None], ...]], dots: bool = False
) -> Html | None:
    series = [Series(name, points) for name, points in found.items() if points]
    values = [y for one in series for _, y in one.points if y is not None]
    if len({x for one in series for x, y in one.points if y is not None}) < 2:
        return None
    said = (
        f"{len(series)} lines, between {min(values):.4g} and {max(values):.4g}. The values are in the table below it."
    )
    drawn = line_plot(title, said, series, axis, title, dots)
    steps = sorted({x for one in series for x, _ in one.points})
    steps = steps[:: max(1, -(-len(steps) // LOGGED))]
    by_name = [dict(one.points) for one in series]
    rows: list[list[Child]] = [[f"{step:,}", *(_logged(values.get(step)) for values in by_name)] for step in steps]
    behind = folded("Values", table([axis, *(one.name for one in series)], rows, f"{title} by {axis}", words=0))
    return el("figure", el("h3", title), drawn, behind)


def _logged(value: float | None) -> str:
    return NONE if value is None else f"{value:.4g}"


# ---- what made it --------------------------------------------------------------------------------------------------


def _made(record: RunRecord) -> Html:
    plugins: list[list[Child]] = [
        [p.kind, named(p.name), named(p.distribution), named(p.version), el("code", p.code[:SHORT])]
        for p in record.plugins
    ]
    parts: list[Child] = [el("h2", "What made it")]
    if record.budget:
        parts.append(
            table(
                ["Budget", "value"],
                [[named(k), named(v, 600)] for k, v in sorted(record.budget.items())],
                "Budget",
                words=2,
            )
        )
    if plugins:
        parts.append(table(["Plugin", "name", "package", "version", "code"], plugins, "Plugins", words=5))
    else:
        parts.append(el("p", "This record is too old to say which code made it.", class_="note"))
    parts.append(folded("Versions and machines", _environments(record)))
    parts.append(folded("Steps", _steps(record)))
    spec: list[list[Child]] = [
        [el("code", named(path, 200)), el("code", named(value, 600))] for path, value in flat(record.spec)
    ]
    parts.append(folded(f"Spec {record.spec_hash}", table(["option", "value"], spec, "Spec", words=2)))
    policies = [[named(k), named(v, 300)] for k, v in sorted(record.policies.items())]
    if policies:
        parts.append(folded("Protocol", table(["policy", "choice"], [list(p) for p in policies], "Protocol", words=2)))
    return el("section", *parts)


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Every leaf of nested values with its path; an empty group is a leaf."""
    if isinstance(value, dict) and value:
        return [leaf for key, part in value.items() for leaf in flat(part, f"{path}.{key}" if path else str(key))]
    return [
        (
            path,
            "yes" if value is True else "no" if value is False else "none" if value in ({}, None, "") else str(value),
        )
    ]


def _environments(record: RunRecord) -> Html:
    """What the seeds ran on; a line that all share is told once."""
    by_seed = [
        dict(flat(seed.environment) + ([("started", seed.started)] if seed.started else [])) for seed in record.seeds
    ]
    rows: list[list[Child]] = []
    for path in dict.fromkeys(path for one in by_seed for path in one):
        values = list(dict.fromkeys(one.get(path, NONE) for one in by_seed))
        text = (
            values[0]
            if len(values) == 1
            else "; ".join(
                f"seed {s.seed}: {one.get(path, NONE)}" for s, one in zip(record.seeds, by_seed, strict=True)
            )
        )
        rows.append([path, named(text, 600)])
    return table(["what", "value"], rows, "Versions and machines", words=2)


def _steps(record: RunRecord) -> Html:
    rows: list[list[Child]] = []
    for seed in record.seeds:
        for step in seed.steps:
            taken = f"{step.seconds:,.1f}" + (" (reused)" if step.reused else "")
            rows.append(
                [str(seed.seed), named(step.role), named(step.kind), step.phase, el("code", step.folder or NONE), taken]
            )
    return table(["seed", "for", "step", "phase", "key", "seconds"], rows, "Steps", words=5)


def _export(row: Row) -> Html:
    run = row.record.run
    return el(
        "section",
        el("h2", "Cite and export"),
        el(
            "p",
            el("a", f"{run}.json", href=f"../records/{quote(run)}.json", download=True),
            ": the record, as committed.",
        ),
        el("h3", "BibTeX"),
        copied(bibtex(row), "BibTeX"),
        el("h3", "LaTeX"),
        copied(latex_row(row), "LaTeX"),
    )


def trail(record: RunRecord) -> Iterable[tuple[str, str]]:
    """The page above: the data set's."""
    return [(record.dataset.label, f"../data-sets/{record.dataset.name}.html")]
