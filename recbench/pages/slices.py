"""The parts of a test set as blocks: a row's NDCG@10 on cold and warm targets, long and short histories, and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recbench.pages.blocks import NONE, Block, Bullets, Heading, Paragraph, Table, figure
from recbench.pages.rows import METRIC

COLD = " A row that is trained on a sample of the training windows sees even fewer items."


def part_blocks(
    level: int,
    sizes: Mapping[str, int],
    summaries: Mapping[str, str],
    head: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Mapping[str, float | None]]],
) -> list[Block]:
    """A heading, what each slice is, and a table; nothing where no part divides the test set.

    Args:
        level: of the heading.
        sizes, summaries: as :func:`recbench.pages.rows.divided` returns them.
        head: of the columns before the parts.
        rows: these columns, and the values by part.
    """
    if not sizes:
        return []
    table = tuple(
        (*cells, *(NONE if (value := values.get(part)) is None else figure(value) for part in sizes))
        for cells, values in rows
    )
    said = f"{METRIC} on the cases of each part, averaged over seeds; in brackets, how many cases it has."
    return [
        Heading(level, "Parts of the test set"),
        Paragraph(said + COLD * ("cold" in sizes)),
        Bullets(tuple(f"{name}: {summary}" for name, summary in summaries.items())),
        Table((*head, *(f"{part} ({n:,})" for part, n in sizes.items())), table, words=len(head)),
    ]
