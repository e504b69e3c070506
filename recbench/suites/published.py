"""Published numbers next to a suite: a table of method, dataset, and one column for each metric."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from recbench.errors import UsageError, short
from recbench.files import reason


def read_published(path: Path, where: str) -> dict[str, dict[str, dict[str, float]]]:
    """method -> data set -> metric -> number.

    Args:
        path: the table.
        where: what names it, for messages.

    Raises:
        UsageError: it is missing, or not such a table; names its line.
    """
    if not path.is_file():
        raise UsageError(f"{where}: {path.name} is missing, the table of published numbers.")
    found: dict[str, dict[str, dict[str, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            for row in rows:
                numbers = {k: float(v) for k, v in row.items() if k not in ("method", "dataset")}
                if not all(map(math.isfinite, numbers.values())):
                    raise ValueError("a number is not finite")
                if row["dataset"] in found.setdefault(row["method"], {}):
                    raise ValueError(f"line {rows.line_num} repeats {short(row['method'])}")
                found[row["method"]][row["dataset"]] = numbers
    except OSError as error:
        raise UsageError(f"{where}: {path.name} cannot be read ({reason(error)}).") from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UsageError(f"{where}: {path.name} is not a table of method,dataset,METRIC,... ({error}).") from error
    return found
