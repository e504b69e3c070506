"""The record of a run: one spec, several seeds, every test case's rank; the truth behind every number.

One compact JSON file, one line for each part and seed. A checksum over the content tells an edited record from a
generated one: a record is regenerated, never edited.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from recbench.errors import DataError
from recbench.files import canonical, write_atomic
from recbench.results.packing import PackedInts
from recbench.types import CaseResults

FORMAT: Final = 1
_CHECKSUM = "sha256"
_PER_LINE = "seeds"
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Logged = Annotated[
    float | None, BeforeValidator(lambda v: None if isinstance(v, float) and not math.isfinite(v) else v)
]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    # frozen keeps fields from being reassigned; strict keeps "3" from being read as 3
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Dataset(_Part):
    """The data: its name (also its page's file name), a label to read, and the sha256 of every source file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    label: str
    sources: dict[str, str] = {}


class Labels(_Part):
    """How a row of the page calls the parts; an empty loss, decoder or LM is shown as a dash."""

    method: str
    loss: str = ""
    decoder: str = ""
    llm: str = ""


class Cases(_Part):
    """The N test cases.

    Attributes:
        digest: names the set of cases (``Sequences.digest()``): runs with the same digest are comparable.
        label: how they were chosen, e.g. ``at most 20 windows a user``.
        users: [N] user index.
        cold: [N] 1 where the target never occurs in training.
        history_length: [N] items in the history.
        popularity: [N] how often the target occurs in training.
    """

    digest: Annotated[str, Field(min_length=8)]
    label: str = ""
    users: PackedInts
    cold: PackedInts
    history_length: PackedInts
    popularity: PackedInts

    @model_validator(mode="after")
    def _consistent(self) -> Cases:
        for name in ("cold", "history_length", "popularity"):
            if len(getattr(self, name)) != len(self.users):
                raise ValueError(f"{name} has {len(getattr(self, name))} cases but users has {len(self.users)}")
        if not len(self.users):
            raise ValueError("there are no test cases")
        if not np.isin(self.cold, (0, 1)).all():
            raise ValueError("cold has a value other than 0 and 1")
        return self


class SeedResult(_Part):
    """What one seed gave and cost.

    Attributes:
        seed: its number.
        ranks: [N] rank of each case's target, 1 is best, 0 beyond the decoder's depth.
        invalid_share: share of generated titles that are no item, before grounding; None where it cannot happen.
        validation: validation NDCG@10 after each epoch.
        best_epoch: the epoch (from 1) that validation chose; 0: not trained.
        steps: optimisation steps.
        losses: (step, loss) as logged; None where it was not finite.
        seconds: wall-clock seconds by stage: ``prepare`` is data, ``rank`` is decoding, all others count as training.
            A stage taken from the store has the time that it took when it was built.
        reused: the stages taken from the store.
        stages: the folder of each stage in the store, by stage name.
        watched: the loss's own values at the end of training (MSL: tau).
        peak_memory_bytes: largest resident set; None: not measured.
        started: when, as ISO 8601 text.
        environment: what ``recbench.results.environment`` returned.
    """

    seed: Annotated[int, Field(ge=0)]
    ranks: PackedInts
    invalid_share: _Share | None = None
    validation: tuple[_Logged, ...] = ()
    best_epoch: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[int, Field(ge=0)] = 0
    losses: tuple[tuple[int, _Logged], ...] = ()
    seconds: dict[str, _Seconds] = {}
    reused: tuple[str, ...] = ()
    stages: dict[str, str] = {}
    watched: dict[str, float] = {}
    peak_memory_bytes: Annotated[int, Field(ge=0)] | None = None
    started: str = ""
    environment: dict[str, Any] = {}


class RunRecord(_Part):
    """One run.

    Attributes:
        format: version of this layout.
        run: the run's id, unique in a folder of records.
        spec: the resolved spec as plain values; a spec without an ``llm`` is a traditional recommender.
        spec_hash: its canonical hash.
        command: the exact command that reruns it.
        dataset, labels, cases: see there.
        budget: name -> text, as shown on the page (training windows, epochs, preset ...).
        policies: name -> text: the protocol's choices (namesakes, history items ...).
        seeds: one entry for each seed, in the order run.
    """

    format: Literal[1] = FORMAT
    run: Annotated[str, Field(min_length=1)]
    spec: dict[str, Any]
    spec_hash: Annotated[str, Field(min_length=8)]
    command: str
    dataset: Dataset
    labels: Labels
    budget: dict[str, str] = {}
    policies: dict[str, str] = {}
    cases: Cases
    seeds: Annotated[tuple[SeedResult, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> RunRecord:
        n = len(self.cases.users)
        for result in self.seeds:
            if len(result.ranks) != n:
                raise ValueError(f"seed {result.seed} has {len(result.ranks)} ranks for {n} cases")
            if (result.ranks < 0).any():
                raise ValueError(f"seed {result.seed} has a negative rank")
        numbers = [result.seed for result in self.seeds]
        if len(set(numbers)) != len(numbers):
            raise ValueError("a seed occurs twice")
        return self

    def case_results(self) -> CaseResults:
        """The ranks of all seeds, [S, N], with what is known of each case."""
        return CaseResults(
            users=self.cases.users,
            ranks=np.stack([result.ranks for result in self.seeds]),
            cold=self.cases.cold.astype(np.bool_),
            history_length=self.cases.history_length,
            popularity=self.cases.popularity,
            seeds=tuple(result.seed for result in self.seeds),
        )


def to_json(record: RunRecord) -> str:
    """The record as JSON, one line for each part and seed, with its checksum.

    Raises:
        DataError: a value that JSON has no word for (NaN or an object in the spec).
    """
    content = record.model_dump(mode="python")
    try:
        content = json.loads(canonical(content))
    except (TypeError, ValueError) as error:
        raise DataError(f"run {record.run} cannot be saved as a record: {error}") from error
    lines = []
    for name, value in content.items():
        if name == _PER_LINE:
            lines.append(f'"{name}": [\n' + ",\n".join(map(canonical, value)) + "\n]")
        else:
            lines.append(f"{json.dumps(name)}: {canonical(value)}")
    lines.append(f'"{_CHECKSUM}": "{_digest(content)}"')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_json(text: str | bytes, name: str) -> RunRecord:
    """The record in ``text``; ``name`` is the file it came from, for the message.

    Raises:
        DataError: truncated, malformed, edited, of another format, or inconsistent with itself.
    """
    try:
        content = json.loads(text)
    except ValueError as error:  # also a wrong encoding
        advice = "restore it, or run its command again with --again"
        raise DataError(f"{name} is not a complete record ({error}); {advice}") from error
    if not isinstance(content, dict) or "format" not in content:
        raise DataError(f"{name} is not a record of a recbench run; a record is a JSON object with a 'format'")
    if content["format"] != FORMAT:
        raise DataError(
            f"{name} has record format {content['format']!r} and this recbench reads {FORMAT}; regenerate it"
        )
    checksum = content.pop(_CHECKSUM, None)
    if checksum != _digest(content):
        raise DataError(f"{name} does not match its checksum: a record is regenerated, never edited")
    try:
        return RunRecord.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        problem = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{name} is not a valid record: {where}: {problem}") from error


def read(path: Path) -> RunRecord:
    """The record in the file at ``path``.

    Raises:
        DataError: as ``from_json``, or the file cannot be read.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the record {path}: {error.strerror}") from error
    return from_json(text, str(path))


def write(record: RunRecord, path: Path) -> None:
    """Save the record at ``path``, all of it or nothing.

    Raises:
        RecbenchError: it cannot be written.
    """
    write_atomic(path, to_json(record).encode())


def _digest(content: dict[str, Any]) -> str:
    # a hand-made file may hold NaN, which json reads: it then fails the comparison instead of the dump
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
