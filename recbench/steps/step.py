"""A step: what is made, from what, by which code; and the key that all of it gives.

A step's key is the digest of its facts, its code and the keys of the steps that it needs. So whatever decides a
result is part of its name, and steps that two experiments share have one name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from recbench.files import digest
from recbench.steps.code import Code, code_of

if TYPE_CHECKING:
    from recbench.interfaces import Checkpoints, Reporter
    from recbench.spec.model import Method
    from recbench.spec.options import MachineOptions

Phase = Literal["data", "training", "decoding"]
IDENTITY = ("kind", "facts", "code", "versions", "revisions", "needs")
"""Everything that the key is the digest of."""


def key_of(identity: Mapping[str, Any]) -> str:
    """A step's key: 16 hexadecimal digits over what it is made of."""
    return digest(identity)[:16]


class Work(Protocol):
    """What a step may use while it is built or loaded."""

    reporter: Reporter

    def path(self, step: Step) -> Path:
        """The folder of a finished step."""

    def value(self, step: Step) -> Any:
        """What a finished step gives; shared with others, so it must not be changed."""

    def take(self, step: Step) -> Any:
        """What a finished step gives, for the caller alone, who may change it."""

    def checkpoints(self, step: Step, minutes: float) -> Checkpoints:
        """Where the trainings and rankings of a step that is being built leave checkpoints."""

    def after_epoch(self, step: Step, scores: Sequence[float]) -> None:
        """Hear the validation scores so far of a step that is being trained; an exception ends the training."""

    def curves(self, step: Step) -> Path:
        """The folder for the curves of a step's training, where some are asked for."""


class Step(ABC):
    """One artefact of an experiment.

    Class attributes:
        kind: a word for people, also the beginning of the folder's name.
        phase: what its seconds count as.
        together: every process of a run takes part in building it.
    """

    kind: ClassVar[str]
    phase: ClassVar[Phase]
    together: ClassVar[bool] = False

    @property
    @abstractmethod
    def title(self) -> str:
        """What building it does, in a few words."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """JSON values that decide its content, next to code and needs."""

    @property
    @abstractmethod
    def needs(self) -> Mapping[str, Step]:
        """The steps that it reads, by role."""

    @property
    def methods(self) -> tuple[Method, ...]:
        """The plugins that it runs."""
        return ()

    @property
    def machine(self) -> MachineOptions | None:
        """The device, threads and processes that it computes on; None for a step that takes one thread and no torch."""
        return None

    @abstractmethod
    def build(self, folder: Path, work: Work) -> Any:
        """Fill an empty folder; return what :meth:`load` may continue with, or None."""

    @abstractmethod
    def load(self, folder: Path, work: Work, made: Any = None) -> Any:
        """What the finished folder holds; ``made`` is what :meth:`build` returned in this process."""

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """For estimates: what steps of the same speed have in common, the amount of work, rough seconds a unit."""
        return {}, 1.0, 1.0

    @cached_property
    def code(self) -> Code:
        """The code of the step and of the plugins that it runs."""
        return code_of(tuple(sorted({type(self).__module__, *(m for method in self.methods for m in method.modules)})))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the step is made of: :data:`IDENTITY`."""
        revisions = {f"{m.kind} {m.name}": m.plugin.revision for m in self.methods if m.plugin.revision != 1}
        return {
            "kind": self.kind,
            "facts": dict(self.facts),
            "code": self.code.digest,
            "versions": self.code.versions,
            "revisions": revisions,
            "needs": {role: step.folder for role, step in self.needs.items()},
        }

    @cached_property
    def key(self) -> str:
        """See :func:`key_of`."""
        return key_of(self.identity)

    @property
    def folder(self) -> str:
        """The name of its folder in a store."""
        return f"{self.kind}-{self.key}"

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of, nothing that was computed: another process finds the key of its own code."""
        return {k: v for k, v in vars(self).items() if not isinstance(getattr(type(self), k, None), cached_property)}

    def closure(self) -> Iterator[Step]:
        """The steps that it needs, directly or not, then itself; each once, needs first."""
        seen: set[str] = set()

        def walk(step: Step) -> Iterator[Step]:
            if step.folder in seen:
                return
            seen.add(step.folder)
            for need in step.needs.values():
                yield from walk(need)
            yield step

        yield from walk(self)
