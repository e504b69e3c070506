"""Records as files: one compact JSON object, one line for each part and seed, with a checksum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from recbench.errors import DataError
from recbench.files import canonical, digest, read_regular, reason, sweep_temporaries, write_atomic
from recbench.results.packing import declared_bytes
from recbench.results.record import FORMAT, RunRecord
from recbench.results.upgrade import upgraded

MAX_FILE: Final = 128 * 2**20
"""The largest file that is read, in bytes: some 1,000,000 cases with five seeds."""
MAX_MEMORY: Final = 2**30
"""The most memory that a record's columns and lists may ask for, in bytes."""
_CHECKSUM = "sha256"
_PER_LINE = "seeds"
_HASH = 16


def spec_hash(spec: dict[str, Any]) -> str:
    """The hash that a record carries next to its spec.

    Raises:
        TypeError, ValueError: a value that JSON cannot represent.
    """
    return digest(spec)[:_HASH]


def to_json(record: RunRecord) -> str:
    """The record as JSON, one line for each part and seed, with its checksum.

    Raises:
        DataError: a value that JSON cannot represent (NaN or an object in the spec), or a record read from format 1,
            which has no lists: copy its file.
    """
    if record.format != FORMAT:
        raise DataError(
            f"run {record.run} was recorded by an older recbench (format {record.format}), without top lists; "
            "copy its file, or run it again"
        )
    try:
        content = json.loads(canonical(record.model_dump(mode="python")))
        lines = [f"{json.dumps(name)}: {_part(name, value)}" for name, value in content.items()]
        text = "{\n" + ",\n".join([*lines, f'"{_CHECKSUM}": "{digest(content)}"']) + "\n}\n"
        text.encode()  # half of a surrogate pair has no bytes
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"run {record.run} cannot be saved as a record: {error}") from error
    return text


def _part(name: str, value: Any) -> str:
    return "[\n" + ",\n".join(map(canonical, value)) + "\n]" if name == _PER_LINE else canonical(value)


def from_json(text: str | bytes, name: str) -> RunRecord:
    """The record in ``text``; ``name`` is the file it came from, for the message.

    Raises:
        DataError: truncated, malformed, edited, too large, of another format, or inconsistent with itself.
    """
    record, found = opened(text, name)
    if found or record is None:
        raise DataError(found[0])
    return record


def opened(text: str | bytes, name: str) -> tuple[RunRecord | None, list[str]]:
    """The record in ``text``, if it is one, and a sentence for everything in it that does not hold together.

    A wrong checksum or spec hash leaves a record to look at; :func:`from_json` refuses it.

    Args:
        text: the content of a file.
        name: the file, for the sentences.
    """
    found: list[str] = []
    try:
        content = _object(text, name)
        if content.pop(_CHECKSUM, None) != digest(content):
            found.append(f"{name} does not match its checksum; a record is regenerated, never edited")
        if (asked := declared_bytes(content)) > MAX_MEMORY:
            raise DataError(
                f"{name} asks for {asked:,} bytes of memory, but a record may ask for {MAX_MEMORY:,}; it was not read"
            )
        if content.get("spec_hash") != spec_hash(content.get("spec", {})):
            found.append(f"{name} is not a valid record: spec_hash is not the hash of its spec")
        content = upgraded(content) if content["format"] == 1 else content
        return RunRecord.model_validate_json(json.dumps(content)), found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = " ".join(first["msg"].removeprefix("Value error, ").split())
        found.append(f"{name} is not a valid record: " + (f"{where} is wrong ({problem})" if where else problem))
    except DataError as error:
        found.append(str(error))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        found.append(f"{name} is not a valid record ({type(error).__name__}: {error})")
    return None, found


def _object(text: str | bytes, name: str) -> dict[str, Any]:
    """The JSON object of a record whose format is known."""
    content = _parsed(text, name)
    if not isinstance(content, dict) or "format" not in content:
        raise DataError(f"{name} is not a record of a recbench run; a record is a JSON object with a 'format'")
    if type(content["format"]) is not int or not 1 <= content["format"] <= FORMAT:
        raise DataError(
            f"{name} has record format {content['format']!r} and this recbench reads 1 to {FORMAT}; "
            "read it with the recbench that wrote it, or run it again"
        )
    return content


def _parsed(text: str | bytes, name: str) -> Any:
    if len(text) > MAX_FILE:
        raise DataError(f"{name} is larger than a record may be ({MAX_FILE // 2**20} MiB)")
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:  # also a wrong encoding, and numbers of thousands of digits
        said = f"{error.msg} in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else error
        advice = "restore it, or run its command again with --again"
        raise DataError(f"{name} is not a complete record ({said}); {advice}") from error
    except RecursionError as error:
        raise DataError(f"{name} is not a record of a recbench run: it is nested too deeply") from error


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def read(path: Path) -> RunRecord:
    """The record in the file at ``path``.

    Raises:
        DataError: as ``from_json``, or it cannot be read, or it is not a regular file.
    """
    return from_json(content_of(Path(path)), str(path))


def content_of(path: Path) -> bytes:
    """The bytes of a record's file, no more than a record may have.

    Raises:
        DataError: it cannot be read, or is not a regular file.
    """
    try:
        return read_regular(path, MAX_FILE + 1)
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, and a record is a file") from error
    except OSError as error:
        raise DataError(f"cannot read the record {path}: {reason(error)}") from error


def write(record: RunRecord, path: Path) -> None:
    """Save the record at ``path``, all of it or nothing, and sweep what killed writers left next to it.

    Raises:
        DataError: as ``to_json``.
        RecbenchError: it cannot be written.
    """
    write_atomic(path, to_json(record).encode())
    sweep_temporaries(Path(path).parent)


def copy(path: Path, folder: Path, examples: bool = True) -> tuple[Path, RunRecord]:
    """Copy a record's file, as :func:`taken` says, into ``folder`` under its run's id; returns where, and the record.

    Raises:
        DataError: as ``read``.
        RecbenchError: it cannot be written.
    """
    content, record = taken(path, examples)
    target = Path(folder) / f"{record.run}.json"
    write_atomic(target, content)
    sweep_temporaries(Path(folder))
    return target, record


def taken(path: Path, examples: bool) -> tuple[bytes, RunRecord]:
    """The bytes of a record's file, and the record; where it loses its ``examples``, the bytes of what is left.

    Raises:
        DataError: as ``read``.
    """
    content = content_of(Path(path))
    record = from_json(content, str(path))
    if examples or record.examples is None:
        return content, record
    record = record.model_copy(update={"examples": None})
    return to_json(record).encode(), record
