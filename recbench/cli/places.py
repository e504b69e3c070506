"""Where one's own data is: ``--data-dir`` becomes an option of the data set's source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from recbench import registry
from recbench.data.prepare import entry
from recbench.errors import UsageError


def dataset_options(dataset: str, data_dir: str | None) -> dict[str, str]:
    """The source's option that ``--data-dir`` fills: ``dir``, or ``file`` for a source that reads a file.

    Raises:
        UsageError: the path does not exist, or the data set has no such option.
    """
    source = entry(dataset).source
    return source_options(dataset, source, data_dir)


def source_options(dataset: str, source: str, data_dir: str | None) -> dict[str, str]:
    """As :func:`dataset_options`, for a source known already."""
    if data_dir is None:
        return {}
    known = registry.get("source", source).options.model_fields
    path = Path(data_dir).expanduser()
    if "dir" not in known and "file" not in known:
        raise UsageError(f"--data-dir {data_dir} does not apply: the data set {dataset!r} is not read from a folder.")
    if not path.exists():
        raise UsageError(f"--data-dir {data_dir} does not exist.")
    if "dir" in known and (path.is_dir() or "file" not in known):
        if not path.is_dir():
            raise UsageError(f"--data-dir {data_dir} is a file, but the data set {dataset!r} is read from a folder.")
        return {"dir": str(path)}
    if not path.is_file():
        raise UsageError(f"--data-dir {data_dir} is a folder, but the data set {dataset!r} is read from a file.")
    return {"file": str(path)}


def dataset_sets(sets: tuple[str, ...]) -> dict[str, Any]:
    """``--set dataset.OPTION=VALUE`` as options.

    Raises:
        UsageError: another form or another group.
    """
    found: dict[str, Any] = {}
    for text in sets:
        target, equals, value = text.partition("=")
        group, dot, option = target.partition(".")
        if not (equals and dot and option) or group != "dataset":
            raise UsageError(f"--set {text!r} must read dataset.OPTION=VALUE here, such as dataset.core=5.")
        try:
            found[option] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise UsageError(f"--set {text!r}: the value is no YAML ({str(error).splitlines()[0]}).") from error
    return found
