"""The lightweight descriptors that entry points name, one class for each kind."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from recbench.interfaces.options import Options

Signal = Literal["text", "scores"]
O = TypeVar("O", bound=Options)  # noqa: E741 - the conventional short name for a type variable


class Method(Generic[O]):
    """Base of all implementations: holds the options."""

    def __init__(self, options: O) -> None:
        self.options = options


class Resumable:
    """An object whose attributes may change during training, so that checkpoints must hold them.

    By default all attributes but ``options`` go into a checkpoint: numbers, texts, tensors, arrays, numpy's generators,
    and tuples, lists, dicts and deques of those. With anything else, training writes no checkpoints and says so: define
    both methods then. Also define both for state that is not an attribute.
    """

    def checkpoint(self) -> Mapping[str, Any]:
        """What :meth:`resume` needs, of the types above; copied at once."""
        return {name: value for name, value in vars(self).items() if name != "options"}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`checkpoint` returned, with new objects in place of the old ones."""
        vars(self).update(state)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What all descriptors state: enough to list, check and plan a method. Use the subclass of your kind.

    The module of a descriptor is imported to list it, so it imports torch and the like inside methods only.

    Attributes:
        implementation: the class that does the work.
        summary: one line for ``recbench list``.
        options: the class of its typed options.
        paper: authors, title, venue and address.
        extra: the argument of ``pip install`` that adds what the implementation imports.
        revision: raise it when results change for a reason that neither code nor library versions show (downloaded
            weights, say): what was built before is then built again.

    Raises:
        TypeError: a value of the wrong kind; names the implementation, and is raised when the module is imported.
    """

    kind: ClassVar[str] = ""
    implements: ClassVar[tuple[type, ...]] = (Method,)

    implementation: type[Any]
    summary: str
    options: type[Options] = Options
    paper: str = ""
    extra: str = ""
    revision: int = 1

    def __post_init__(self) -> None:
        made = self.implementation
        bases = " or ".join(base.__name__ for base in self.implements)
        if not isinstance(made, type):
            raise self.wrong(f"implementation must be a class derived from {bases}, not {made!r}")
        if not issubclass(made, self.implements):
            raise self.wrong(f"implementation must be derived from {bases}")
        if inspect.isabstract(made):
            missing = ", ".join(sorted(getattr(made, "__abstractmethods__", ())))
            raise self.wrong(f"implementation does not define {missing}")
        if not (isinstance(self.summary, str) and self.summary.strip() and self.summary.isprintable()):
            raise self.wrong(f"summary must be one line of text, not {self.summary!r}")
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise self.wrong(f"options must be a class derived from recbench.interfaces.Options, not {self.options!r}")
        for name in ("paper", "extra"):
            if not isinstance(getattr(self, name), str):
                raise self.wrong(f"{name} must be text, not {getattr(self, name)!r}")
        if not (isinstance(self.revision, int) and self.revision >= 1):
            raise self.wrong(f"revision must be a whole number from 1, not {self.revision!r}")

    def wrong(self, what: str) -> TypeError:
        """The error to raise; names the descriptor and the implementation."""
        name = getattr(self.implementation, "__name__", repr(self.implementation))
        return TypeError(f"{type(self).__name__} of {name}: {what}")

    @property
    def signal(self) -> str:
        """What a backbone produces, a decoder reads or a loss trains: text or scores; empty for other kinds."""
        return ""
