"""Where the data and language models of committed records are on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recbench.errors import UsageError
from recbench.spec.model import DataSet
from recbench.spec.paths import data_option
from recbench.spec.request import Request


@dataclass(frozen=True)
class Places:
    """Paths on this machine: data by data set name or label, language models by name."""

    data: Mapping[str, str]
    llms: Mapping[str, str]


def data_paths(dataset: DataSet, places: Mapping[str, str]) -> dict[str, str]:
    """The path options of a record's data set: where its files are here.

    Args:
        dataset: of the record's spec.
        places: by data set name or label.

    Raises:
        UsageError: it is your own data and no place is given, or there is nothing at that place.
    """
    given = places.get(dataset.called, places.get(dataset.name))
    if given is None:
        if dataset.label is not None:
            raise UsageError(f"it was run on your own data: say where it is, as in --data-dir {dataset.called}=PATH.")
        return {}
    return data_option(Request(model="none", dataset=dataset.name, data_dir=given), dataset.source)
