"""Data sets from Python: ``recbench.datasets.load("ml-100k")``."""

from __future__ import annotations

from typing import Any

from recbench.data.catalog import datasets as _entries
from recbench.data.catalog import entry
from recbench.data.prepare import prepare
from recbench.interfaces import SilentReporter
from recbench.planning import measured
from recbench.spec.layers import Layers
from recbench.spec.request import SET, Request
from recbench.spec.resolve import dataset
from recbench.types import Split


def names() -> list[str]:
    """The data sets of datasets.yaml."""
    return list(_entries())


def load(name: str, data_dir: str | None = None, **options: Any) -> Split:
    """A prepared data set: catalogue, training, validation and test windows.

    Args:
        name: as for ``--dataset``.
        data_dir: folder or file of your own data.
        options: as ``--set dataset.OPTION=VALUE``.

    Raises:
        UsageError: an unknown data set or option.
        DataError: the files are not what they should be.
    """
    request = Request.model_validate(
        {"model": "none", "dataset": name, "data_dir": data_dir, SET: {"dataset": options}}
    )
    found = entry(name)
    chosen = measured(dataset(request, Layers(request), found.source, found.options))
    return prepare(chosen.make(), SilentReporter(), chosen.files)
