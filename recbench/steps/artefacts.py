"""What a step leaves in its folder: arrays, a training report, a ranking; read back or refused with a sentence."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recbench.errors import DataError
from recbench.files import read_json
from recbench.interfaces import FitReport
from recbench.memory import peak_memory_bytes
from recbench.types import Ranking

MODEL, REPORT, LOG, RANKING = "model.safetensors", "report.json", "training.jsonl", "ranking.npz"


def save_model(folder: Path, arrays: Mapping[str, Any], report: FitReport, device: str) -> None:
    """A model's arrays, what its training said, with the most memory that this process has used, and its course."""
    from safetensors.numpy import save_file

    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, folder / MODEL)
    report = replace(report, peak_memory_bytes=peak_memory_bytes(device))
    said = asdict(report)
    log = said.pop("log")
    (folder / REPORT).write_text(json.dumps(said))
    if log:
        (folder / LOG).write_text("".join(json.dumps(line, allow_nan=False) + "\n" for line in log))


def load_model(folder: Path) -> dict[str, Any]:
    """A model's arrays.

    Raises:
        DataError: truncated or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(folder / MODEL)
    except (SafetensorError, OSError) as error:
        raise _damaged(folder / MODEL) from error


def load_report(folder: Path) -> FitReport:
    """What a model's training said.

    Raises:
        DataError: truncated or damaged.
    """
    try:
        saved = read_json(folder / REPORT)
        losses = tuple((int(step), float(loss)) for step, loss in saved.pop("losses"))
        return FitReport(**{**saved, "validation": tuple(saved["validation"])}, losses=losses)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / REPORT) from error


def save_ranking(folder: Path, ranking: Ranking) -> None:
    """A ranking, compressed."""
    invalid = np.nan if ranking.invalid_share is None else ranking.invalid_share
    np.savez_compressed(folder / RANKING, items=ranking.items, scores=ranking.scores, invalid=invalid)


def load_ranking(folder: Path) -> Ranking:
    """A stored ranking.

    Raises:
        DataError: truncated or damaged.
    """
    try:
        with np.load(folder / RANKING, allow_pickle=False) as arrays:
            invalid = float(arrays["invalid"])
            return Ranking(arrays["items"], arrays["scores"], None if np.isnan(invalid) else invalid)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(folder / RANKING) from error


def _damaged(path: Path) -> DataError:
    return DataError(f"{path} is truncated or damaged: remove its folder and run again.")
