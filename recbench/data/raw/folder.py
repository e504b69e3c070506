"""The prepared folder: ``interactions.parquet``, ``items.parquet`` and ``manifest.json``, all of them or none."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recbench
from recbench.data.raw.preparation import Result
from recbench.errors import DataError, UsageError
from recbench.files import alive, explained, read_json, sha256_file, sync, write_atomic

INTERACTIONS, ITEMS, MANIFEST = "interactions.parquet", "items.parquet", "manifest.json"
FORMAT = 1
_SUFFIX = ".recbench-tmp"
_GROUP = 1_000_000  # rows


def check_place(out: Path) -> None:
    """Raises:
    UsageError: ``out`` holds something that is not a prepared folder.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise UsageError(f"--out {out} is not empty and holds no {MANIFEST}: choose another folder.")


def write_folder(out: Path, result: Result, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the folder, replacing an earlier one; returns the manifest.

    The same result, ``about`` and libraries give the same bytes.

    Args:
        about: ``name``, ``layout``, ``options`` and ``inputs`` for the manifest.

    Raises:
        UsageError: as :func:`check_place`.
        RecbenchError: it cannot be written; nothing is left behind.
    """
    check_place(out)
    out = out.resolve()
    scratch = _beside(out, "new")
    with explained(f"writing {out}"):
        try:
            _sweep(out)
            scratch.mkdir(parents=True)
            _write_tables(scratch, result)
            outputs = {name: _stated(scratch / name) for name in (INTERACTIONS, ITEMS)}
            manifest = {
                "format": FORMAT,
                "recbench": recbench.__version__,
                **about,
                "counts": result.counts,
                "outputs": outputs,
            }
            text = json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
            write_atomic(scratch / MANIFEST, text.encode())
            _take_place(scratch, out)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return manifest


def _beside(out: Path, kind: str) -> Path:
    """A hidden folder next to ``out``; host and process in its name tell a dead process's from one in use."""
    return out.parent / f".{out.name}.{socket.gethostname()}.{kind}.{os.getpid()}{_SUFFIX}"


def _sweep(out: Path) -> None:
    """Remove what killed preparations of this folder left next to it, and what this process may have left."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.*{_SUFFIX}"):
        owner, _, process = path.name.removeprefix(f".{out.name}.").removesuffix(_SUFFIX).rpartition(".")
        host = owner.rpartition(".")[0]
        if process.isdigit() and (int(process) == os.getpid() or not alive(host, int(process))):
            shutil.rmtree(path, ignore_errors=True)


def _take_place(scratch: Path, out: Path) -> None:
    old = _beside(out, "old")
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(scratch, out)
    except OSError:
        with contextlib.suppress(OSError):
            os.replace(old, out)
        raise
    sync(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _write_tables(folder: Path, result: Result) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    users, items = pa.array(result.users, pa.string()), pa.array(result.items, pa.string())
    schema = pa.schema([("user", pa.string()), ("item", pa.string()), ("timestamp", pa.int64())])
    with pq.ParquetWriter(folder / INTERACTIONS, schema, compression="zstd") as writer:
        for start in range(0, len(result.time), _GROUP):
            part = slice(start, start + _GROUP)
            columns = [users.take(pa.array(result.user[part])), items.take(pa.array(result.item[part]))]
            writer.write_table(pa.table([*columns, pa.array(result.time[part])], schema=schema))
    titles = pa.array(result.titles, pa.string())
    pq.write_table(pa.table({"item": items, "title": titles}), folder / ITEMS, compression="zstd")


def _stated(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "size": path.stat().st_size}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder.

    Raises:
        DataError: it is missing or not one that this version reads.
    """
    path = folder / MANIFEST
    try:
        found = read_json(path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: recbench data prepare writes such a folder.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({str(error).rstrip('.')}): prepare the data again.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{path} is not a manifest of format {FORMAT}: prepare the data again.")
    if not isinstance(found.get("counts"), dict) or not isinstance(found.get("outputs"), dict):
        raise DataError(f"{path} lacks counts or outputs: prepare the data again.")
    return found


def expected(manifest: Mapping[str, Any], name: str) -> str:
    """The sha256 that a manifest states for one of its files; "" where it states none."""
    stated = manifest["outputs"].get(name)
    return str(stated.get("sha256", "")) if isinstance(stated, dict) else ""


def read_columns(path: Path, columns: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """sha256 of a Parquet file, and columns of it as lists of texts or arrays of 64-bit integers.

    Raises:
        DataError: the file is missing, damaged, lacks a column or has another type or an empty value in it.
    """
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    from recbench.data.files import read_bytes

    content = read_bytes(path)
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file, or is damaged: prepare the data again.") from error
    found: dict[str, Any] = {}
    for name in columns:
        if name not in table.column_names:
            raise DataError(f"{path} has no column {name!r}: it has {', '.join(table.column_names[:20])}.")
        column = table.column(name).combine_chunks()
        wanted = pa.types.is_integer if name == "timestamp" else pa.types.is_string
        if not wanted(column.type) or column.null_count:
            raise DataError(f"{path}: the column {name!r} has empty values or is {column.type}, not what is needed.")
        found[name] = column.to_numpy() if name == "timestamp" else _texts(column)
    return hashlib.sha256(content).hexdigest(), found


def _texts(column: Any) -> list[str]:
    """A list in which equal texts are one object: ids repeat a lot."""
    coded = column.dictionary_encode()
    names = coded.dictionary.to_pylist()
    return [names[i] for i in coded.indices.to_numpy()]
