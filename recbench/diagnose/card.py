"""The card of a data set: an audit as blocks, and as a Markdown page with one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbench.data.catalog import Published, datasets
from recbench.data.facts import fact_rows
from recbench.data.protocols import WORDS
from recbench.diagnose.audited import Audited
from recbench.files import write_atomic
from recbench.pages.blocks import NONE, Block, Bullets, Heading, Paragraph, Table
from recbench.pages.markdown import blocks_as_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGAINST = ("training targets", "training interactions", "training and validation", "training sample")
MARKER = "written by recbench data audit NAME --card DIR; do not edit"


def write_card(audit: Audited, folder: Path) -> tuple[Path, Path]:
    """Write NAME.md and NAME.png, the same bytes for the same data.

    Args:
        audit: what to show.
        folder: made if it is not there.

    Returns:
        The page and the picture.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, picture = folder / f"{audit.name}.md", folder / f"{audit.name}.png"
    title, *rest = audit_blocks(audit)
    words = f"![popularity of the items, and cold targets over time]({picture.name.replace(' ', '%20')})"
    text = f"<!-- {MARKER} -->\n\n{blocks_as_markdown([title])}\n\n{words}\n\n{blocks_as_markdown(rest)}\n"
    buffer = io.BytesIO()
    _figure(audit).savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(picture, buffer.getvalue())
    write_atomic(page, text.encode())
    return page, picture


def audit_blocks(audit: Audited) -> list[Block]:
    """The whole audit; the title comes first."""
    return [
        Heading(1, f"{audit.name}: {audit.entry.title}"),
        *_verdict(audit),
        Heading(2, "Preparation"),
        Table(("what", "value"), tuple(preparation_rows(audit)), words=2),
        *counts_blocks(audit),
        Heading(2, "Files"),
        Table(("file", "sha256"), tuple(audit.split.sources.items()), words=2),
    ]


def preparation_rows(audit: Audited) -> list[tuple[str, str]]:
    """Where the data comes from and what its preparation counted."""
    found = audit.entry
    rows = [("source", found.source), ("licence", found.licence), ("preparation", " ".join(found.preparation.split()))]
    return rows + fact_rows(audit.split.facts)


def counts_blocks(audit: Audited) -> list[Block]:
    """Every table of counts."""
    return [
        Heading(2, "Size"),
        *_size(audit),
        Heading(2, "Cold targets"),
        *_cold(audit),
        Heading(2, "What the parts share"),
        *_shared(audit),
        Heading(2, "Items and titles"),
        Table(("what", "value"), tuple(_items(audit)), words=1),
    ]


def _verdict(audit: Audited) -> list[Block]:
    if audit.found:
        return [Paragraph("This split leaks:"), Bullets(audit.found)]
    return [Paragraph("No leak: no part holds a window, target or time that the protocol keeps for a later part.")]


def _size(audit: Audited) -> list[Block]:
    p = audit.profile
    header = ("users", "items", "interactions", "density", *(f"{word} windows" for word in WORDS.values()))
    cells = (f"{p.users:,}", f"{p.items:,}", f"{p.interactions:,}", f"{p.density:.4%}")
    size = Table(header, ((*cells, *(f"{n:,}" for n in p.windows.values())),), words=0)
    note = Paragraph(
        "Interactions are the distinct ones that the windows hold; density is their number over users times items."
    )
    published = _published(audit)
    if not audit.tokens:
        return [note, size, *published]
    tokens = tuple(
        (
            _called(llm),
            f"{t.average:,.2f}",
            f"{t.tokens:.2f}",
            f"{t.branching:.2f}",
            f"{t.choices:.1%}",
            NONE if np.isnan(t.at_choices) else f"{t.at_choices:,.2f}",
            f"{t.first:,}",
        )
        for llm, t in audit.tokens.items()
    )
    names = ("AVT", "tokens a title", "choices a title", "tokens with a choice", "valid tokens there", "first tokens")
    return [
        note,
        size,
        Paragraph(
            "AVT is the average number of valid tokens at a token of a training target (the MSL paper, Table 4). A "
            "choice is a token where more than one is valid."
        ),
        Table(("tokenizer", *names), tokens, words=1),
        *published,
    ]


def _of_release(files: Mapping[str, str]) -> Published | None:
    """What a paper says of the release with this test file, by its sha256; book-msl is book as its authors cut it."""
    for known in datasets().values():
        test = known.raw.get("test.csv")
        if test is not None and test.sha256 is not None and test.sha256 == files.get("test.csv"):
            return datasets()[known.name.removesuffix("-msl")].published
    return None


def _published(audit: Audited) -> list[Block]:
    """What a paper says of this data, next to ours, and why they differ."""
    found = audit.entry.published if audit.entry.source == "parquet" else _of_release(audit.split.sources)
    if found is None:
        return []
    p = audit.profile
    ours = (f"{p.users:,}", f"{p.items:,}", f"{p.interactions:,}", f"{p.density:.4%}")
    density = found.interactions / found.users / found.items
    theirs = (f"{found.users:,}", f"{found.items:,}", f"{found.interactions:,}", f"{density:.4%}")
    by = "; ".join(f"{t.average:,.2f} ({_called(llm)})" for llm, t in audit.tokens.items()) or NONE
    why = [" ".join(found.differs[audit.entry.source].split())] if audit.entry.source in found.differs else []
    why.append("AVT follows from the tokenizer, which is Llama-3's in the paper, and from the windows.")
    return [
        Paragraph(f"{found.where} on the data of this name, and what differs:"),
        Table(
            ("", "users", "items", "interactions", "density", "AVT"),
            (("published", *theirs, f"{found.valid_tokens:.2f} (Llama-3)"), ("here", *ours, by)),
            words=1,
        ),
        Paragraph(" ".join(why)),
    ]


def _cold(audit: Audited) -> list[Block]:
    p = audit.profile
    against = [name for name in AGAINST if any(name in found for found in p.cold.values())]
    rows = tuple(
        (
            f"{WORDS[part]} ({p.windows[part]:,})",
            *(f"{found[name]:.2%}" if name in found else NONE for name in against),
            f"{p.ceiling[part]:.2%}",
        )
        for part, found in p.cold.items()
    )
    return [
        Paragraph(
            "Share of the targets that do not occur among the training targets, the training interactions (histories "
            "too), and so on. Ceiling: the hit rate that a model of item ids cannot pass, which knows the items of the "
            "training interactions only."
        ),
        Table(("targets", *against, "ceiling"), rows, words=1),
    ]


def _shared(audit: Audited) -> list[Block]:
    overlaps = tuple(
        (
            f"{o.later} in {o.earlier}",
            *map(_count, (o.windows, o.windows_again, o.targets, o.targets_again, o.in_histories)),
        )
        for o in audit.leaks.overlaps
    )
    boundaries = tuple(
        (f"{b.earlier}, then {b.later}", *map(_count, (b.late, b.tied_before, b.tied_after, b.tied_users)))
        for b in audit.leaks.boundaries
    )
    return [
        Paragraph(
            "Windows of a later part that an earlier part has, at the same time and at another; targets that are "
            "targets there for the same user; and targets that are in a history there."
        ),
        Table(("", "windows", "at another time", "targets", "at another time", "in histories"), overlaps, words=1),
        Paragraph(
            "Time at the boundaries: windows that come too late for their part, windows at the very time of the "
            "boundary, and users who have such windows on both sides, where only the order in the file divides them."
        ),
        Table(("", "too late", "tied before", "tied after", "tied users"), boundaries, words=1),
    ]


def _items(audit: Audited) -> list[tuple[str, str]]:
    p, met = audit.profile, audit.leaks
    rows = [(f"{WORDS[part]} targets in their own history", f"{share:.2%}") for part, share in p.repeats.items()]
    return [
        *rows,
        ("test targets that the user had in training", f"{met.met:.2%}"),
        ("training targets that the user had earlier", f"{met.met_in_training:.2%}"),
        ("items that a window holds", f"{p.items_in_windows:,} of {p.items:,}"),
        ("training interactions of the top 1% of items", f"{p.concentration.top_1:.1%}"),
        ("training interactions of the top 10% of items", f"{p.concentration.top_10:.1%}"),
        ("Gini coefficient of the training interactions", f"{p.concentration.gini:.3f}"),
        ("titles that several items share, as prepared", f"{p.titles.duplicate:,}"),
        ("empty titles, as prepared", f"{p.titles.empty:,}"),
        ("titles that begin another title", f"{p.titles.beginning:,}"),
    ]


def _count(n: int) -> str:
    return f"{n:,}"


def _called(llm: str) -> str:
    """A tokenizer without the folder that it lies in."""
    return Path(llm).name if Path(llm).exists() else llm


def _figure(audit: Audited) -> Figure:
    """Popularity by rank, and the share of cold targets along the held-out windows. No pyplot: no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    counts = np.sort(audit.split.train_counts())[::-1]
    counts = counts[counts > 0]
    left.loglog(np.arange(1, len(counts) + 1), counts, color="#1F5FA8", linewidth=1.5)
    left.set(xlabel="item, most popular first", ylabel="training interactions")
    start = 0
    for (part, shares), colour in zip(audit.profile.cold_over_time.items(), ("#E08A1E", "#B03A2E"), strict=True):
        size = audit.profile.windows[part]
        middles = start + size * (np.arange(len(shares)) + 0.5) / len(shares)
        right.plot(middles, 100 * np.array(shares), "o-", color=colour, markersize=3, linewidth=1, label=WORDS[part])
        start += size
    right.set(xlabel="held-out windows, in time order", ylabel="cold targets (%)")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8, frameon=False)
    for axes in (left, right):
        axes.grid(color="#DDDDDD", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
