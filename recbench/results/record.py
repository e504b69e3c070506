"""The record of a run: one spec, several seeds, and every test case's rank and top list, the source of all numbers.

``results.saved`` reads and writes it as one JSON file. What protects it:

* The checksum tells an edited or damaged file from a generated one. It is not a signature: anyone who changes a record
  can compute it again.
* :func:`recbench.results.verify` checks that a record is consistent: each rank must be where the target stands in the
  kept top list, popularity and cold must follow from the training counts. Every reader applies it. A forger who also
  rewrites the lists and targets passes.
* Only running a seed again (``recbench leaderboard rerun``) shows that the lists are the model's.

A record of format 1 (recbench up to 0.3) has no lists, so only its ranges can be checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from recbench.results.packing import PackedInts, PackedLists
from recbench.results.verify import verify
from recbench.types import CaseResults, Ints

FORMAT: Final = 2
AUTHOR: Final = "RECBENCH_AUTHOR"
"""The environment variable that says who makes records."""
Phase = Literal["data", "training", "decoding"]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Logged = Annotated[
    float | None, BeforeValidator(lambda v: None if isinstance(v, float) and not math.isfinite(v) else v)
]
_Share = Annotated[float, Field(ge=0, le=1)]
_FileName = r"^\w[\w.+=,@~-]{0,199}$"  # no separator, no leading dot, nothing invisible


def _none() -> Ints:
    return np.zeros(0, np.int32)


class _Part(BaseModel):
    # frozen keeps fields from being reassigned; strict keeps "3" from being read as 3
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Dataset(_Part):
    """The data: its name (also its page's file name), a label to read, and the sha256 of every source file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
    label: str
    sources: dict[str, str] = {}


class Labels(_Part):
    """What a row of the page calls the parts; an empty loss, decoder or LM is shown as a dash."""

    method: str
    loss: str = ""
    decoder: str = ""
    llm: str = ""


class PluginCode(_Part):
    """A plugin that took part, and the code that it was.

    Attributes:
        kind, name: as in ``recbench list``.
        distribution, version: the package that registers it.
        code: hex digest of its code.
    """

    kind: str
    name: str
    distribution: str
    version: str
    code: Annotated[str, Field(pattern=r"^[0-9a-f]*$")]


class Cases(_Part):
    """The N test cases.

    Attributes:
        digest: names the set of cases (``Sequences.digest()``): runs with the same digest are comparable.
        label: how they were chosen, e.g. ``at most 20 windows a user``.
        users: [N] user index.
        cold: [N] 1 where the target never occurs in training.
        history_length: [N] items in the history.
        popularity: [N] how often the target occurs in training.
        target: [N] item index; empty in a record of format 1.
        item_popularity: [items] how often each item occurs in training; empty in a record of format 1.
        last: [N] the last item of the history; empty in a record of recbench 0.4 or older.
        sharing: [N] how many titles begin with the first word of the target's; empty in a record of 0.5 or older.
    """

    digest: Annotated[str, Field(min_length=8)]
    label: str = ""
    users: PackedInts
    cold: PackedInts
    history_length: PackedInts
    popularity: PackedInts
    target: PackedInts = Field(default_factory=_none)
    item_popularity: PackedInts = Field(default_factory=_none)
    last: PackedInts = Field(default_factory=_none)
    sharing: PackedInts = Field(default_factory=_none)


class Examples(_Part):
    """A few test cases that a page shows with titles; their targets and lists are the record's own.

    Attributes:
        cases: positions among the N test cases.
        histories: for each of them the items of its history, oldest first.
        titles: item index, as text, -> its title, for every item of their histories, targets and top lists.
    """

    cases: tuple[int, ...]
    histories: tuple[tuple[int, ...], ...]
    titles: dict[str, str]


class StepRecord(_Part):
    """One step of the run.

    Attributes:
        role: what it was for, e.g. ``teacher model``.
        kind: what it is, e.g. ``model``.
        phase: where its seconds count.
        folder: its folder in the store; empty where none was kept.
        seconds: wall clock; a reused step has the time that it took when it was built.
        reused: whether it was taken from the store.
    """

    role: str
    kind: str
    phase: Phase
    folder: Annotated[str, Field(pattern=_FileName[:-1] + "|^$")] = ""
    seconds: _Seconds
    reused: bool = False


class SeedResult(_Part):
    """What one seed gave and cost.

    Attributes:
        seed: its number.
        ranks: [N] rank of each case's target, 1 is best, 0 beyond the decoder's depth.
        top: [N, K] the first ``KEPT`` (10) items of each list, ``PAD`` where there is none; None in format 1.
        invalid_share: share of generated titles that are not in the catalogue, before grounding; None where the decoder
            cannot generate one.
        validation: validation NDCG@10 after each epoch.
        validation_error: standard error over users of the chosen epoch's score; 0 where it is not known.
        best_epoch: the epoch (from 1) that validation chose; 0: not trained.
        steps_trained: optimisation steps.
        losses: (step, loss) as logged; None where it was not finite.
        steps: the steps that made it.
        watched: what was measured in training: the loss's own values at its end (MSL: tau), its temperature at the end
            of the best epoch (none: 1), what an identifier learned, and the mean tokens and choices of an item.
        course: the same values on the way there, name -> (step, value) at up to 60 steps; empty if not kept.
        peak_memory_bytes: largest resident set; None: not measured.
        started: when, as ISO 8601 text.
        environment: what ``recbench.results.environment`` returned.
    """

    seed: Annotated[int, Field(ge=0)]
    ranks: PackedInts
    top: PackedLists | None = None
    invalid_share: _Share | None = None
    validation: tuple[_Logged, ...] = ()
    validation_error: float = 0.0
    best_epoch: Annotated[int, Field(ge=0)] = 0
    steps_trained: Annotated[int, Field(ge=0)] = 0
    losses: tuple[tuple[int, _Logged], ...] = ()
    steps: tuple[StepRecord, ...] = ()
    watched: dict[str, float] = {}
    course: dict[str, tuple[tuple[int, _Logged], ...]] = {}
    peak_memory_bytes: Annotated[int, Field(ge=0)] | None = None
    started: str = ""
    environment: dict[str, Any] = {}

    def seconds(self, phase: Phase) -> float | None:
        """Wall-clock seconds of one phase; None where no step was recorded."""
        return sum(step.seconds for step in self.steps if step.phase == phase) if self.steps else None


class _Named(BaseModel):
    name: str


class _Recommender(BaseModel):
    backbone: _Named
    loss: _Named | None = None
    decoder: _Named | None = None
    llm: _Named | None = None
    teacher: _Recommender | None = None


class _Data(BaseModel):
    name: str = ""


class _Depth(BaseModel):
    depth: Annotated[int, Field(ge=1, strict=True)]


class _Outline(BaseModel):
    """What records and pages themselves read of a spec; ``recbench.spec`` knows the rest."""

    dataset: _Data
    recommender: _Recommender
    evaluate: _Depth


class RunRecord(_Part):
    """One run.

    Attributes:
        format: 2; 1 for a record that an older recbench wrote, brought into this shape when it was read.
        run: the run's id, unique in a folder of records, and its file's name.
        spec: the resolved spec as plain values: ``dataset``, ``recommender``, ``evaluate``, ``machine``, ``tuning``.
        spec_hash: first 16 hex digits of the sha256 of its canonical JSON.
        command: the exact command that runs it again.
        dataset, labels, cases: see there.
        budget: name -> text, as shown on the page (training windows, epochs, preset ...).
        policies: name -> text: the protocol's choices (namesakes, history items ...).
        plugins: the code that made it; empty in format 1.
        seeds: one entry for each seed, in the order run.
        author: who made it, as they call themselves; empty where they do not say.
        external: whether the lists were made by other code and only evaluated here, so that nothing can run it again.
        examples: test cases to show with titles; None where the data set's licence forbids it, where it
            was added without them, and in a record of recbench 0.6 or older.
    """

    format: Literal[1, 2] = FORMAT
    run: Annotated[str, Field(pattern=_FileName)]
    spec: dict[str, Any]
    spec_hash: Annotated[str, Field(min_length=8)]
    command: str
    dataset: Dataset
    labels: Labels
    budget: dict[str, str] = {}
    policies: dict[str, str] = {}
    cases: Cases
    plugins: tuple[PluginCode, ...] = ()
    seeds: Annotated[tuple[SeedResult, ...], Field(min_length=1)]
    author: Annotated[str, Field(max_length=200)] = ""
    external: bool = False
    examples: Examples | None = None

    @field_validator("spec")
    @classmethod
    def _outlined(cls, spec: dict[str, Any]) -> dict[str, Any]:
        _Outline.model_validate(spec)
        return spec

    @model_validator(mode="after")
    def _consistent(self) -> RunRecord:
        if found := verify(self):
            raise ValueError(found[0])
        return self

    @property
    def depth(self) -> int:
        """How many items the decoder was asked for."""
        return int(self.spec["evaluate"]["depth"])

    @property
    def language_model(self) -> Mapping[str, Any] | None:
        """The spec of the language model, the recommender's own or its teacher's; None for a traditional one."""
        recommender = self.spec["recommender"]
        found: Mapping[str, Any] | None = recommender.get("llm") or (recommender.get("teacher") or {}).get("llm")
        return found

    def case_results(self) -> CaseResults:
        """The ranks and top lists of all seeds with what is known of each case."""
        kept = [result.top for result in self.seeds if result.top is not None]
        return CaseResults(
            users=self.cases.users,
            ranks=np.stack([result.ranks for result in self.seeds]),
            cold=self.cases.cold.astype(np.bool_),
            history_length=self.cases.history_length,
            popularity=self.cases.popularity,
            seeds=tuple(result.seed for result in self.seeds),
            depth=self.depth,
            top=np.stack(kept) if len(kept) == len(self.seeds) else None,
            item_popularity=self.cases.item_popularity if len(self.cases.item_popularity) else None,
            last=self.cases.last if len(self.cases.last) else None,
            sharing=self.cases.sharing if len(self.cases.sharing) else None,
        )
