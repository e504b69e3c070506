"""A complete experiment, but for its seeds: typed, and as JSON without any path of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_serializer, model_validator

from recbench import registry
from recbench.errors import RecbenchError
from recbench.files import digest, sha256_path
from recbench.interfaces import Options, SearchOptions, Signal
from recbench.interfaces.identifiers import TITLE, IdentifierOptions, Shows
from recbench.spec.llm import TINY, PretrainedOptions, TinyOptions, options_of
from recbench.spec.options import EvaluateOptions, MachineOptions, Search, TrainBudget, Tuning


def path_options(options: type[Options]) -> tuple[str, ...]:
    """The options that name a place on this machine.

    Those typed ``pathlib.Path`` (also ``Path | None``), and those marked ``json_schema_extra={"path": True}``.
    """
    marked = []
    for name, field in options.model_fields.items():
        extra = field.json_schema_extra
        if Path in kinds(field.annotation) or (isinstance(extra, dict) and extra.get("path")):
            marked.append(name)
    return tuple(marked)


def kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that an option may have: those of a union, or its only one."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


class _Part(BaseModel):
    """A part of a spec; what it does not have is absent from its JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _present(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}

    def plain(self) -> dict[str, Any]:
        """The part as JSON values."""
        return self.model_dump(mode="json")


class Method(_Part):
    """A plugin with its options.

    Attributes:
        files: sha256 of each file that an option names, by option.
        paths: where those files are on this machine; not part of the JSON.
    """

    kind: ClassVar[str]

    name: str
    options: SerializeAsAny[Options]
    files: dict[str, str] = Field(default_factory=dict)
    paths: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(given := values.get("options", {}), Mapping):
            options = registry.get(cls.kind, cls._plugin_name(values)).options
            return {**values, "options": options.model_validate(dict(given))}
        return values

    @classmethod
    def _plugin_name(cls, values: Mapping[str, Any]) -> str:
        return str(values["name"])

    @model_serializer(mode="wrap")
    def _present(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        found = dump(self)
        kind = type(self.options)
        places, given = path_options(kind), found["options"]
        young = {name for name in kind.added & given.keys() if given[name] == kind.model_fields[name].default}
        found["options"] = {name: value for name, value in given.items() if name not in {*places, *young}}
        return {name: value for name, value in found.items() if name == "options" or value not in (None, {})}

    @property
    def plugin_name(self) -> str:
        """The name of its plugin."""
        return self.name

    @property
    def plugin(self) -> Any:
        """Its descriptor."""
        return registry.get(self.kind, self.plugin_name)

    @property
    def modules(self) -> tuple[str, ...]:
        """Where its code begins: the modules of the implementation and of its options."""
        return tuple(sorted({self.plugin.implementation.__module__, type(self.options).__module__}))

    def located(self) -> Options:
        """The options with this machine's paths."""
        return type(self.options).model_validate({**self.options.model_dump(), **self.paths})

    def make(self, *arguments: Any) -> Any:
        """A fresh instance of the implementation.

        Raises:
            RecbenchError: a file that an option names has changed since its checksum was taken.
        """
        for option in self.paths.keys() & self.files.keys():
            if sha256_path(Path(self.paths[option])) != self.files[option]:
                raise RecbenchError(f"{self.paths[option]} changed while it was in use: run the command again.")
        return self.plugin.implementation(self.located(), *arguments)

    def early_options(self) -> dict[str, Any]:
        """The options that count before training: all but those that the class calls ``later``."""
        later = type(self.options).later
        return {name: value for name, value in self.plain()["options"].items() if name not in later}


class Backbone(Method):
    """The recommender's model."""

    kind = "backbone"


class Loss(Method):
    """What it is trained with."""

    kind = "loss"


class Decoder(Method):
    """How its output becomes a ranking."""

    kind = "decoder"

    @property
    def temperature(self) -> float | Literal["loss"]:
        """What it divides logits by; 1 for a decoder that does not search the trie."""
        return self.options.temperature if isinstance(self.options, SearchOptions) else 1.0


class Identifier(Method):
    """What stands for an item."""

    kind = "identifier"

    @property
    def shows(self) -> Shows:
        """What stands for an item in a prompt's history."""
        options = self.options
        return options.shows if isinstance(options, IdentifierOptions) and not self.plugin.titles else "titles"

    @property
    def alignment(self) -> float:
        """Questions about items in training, as a share of the windows."""
        options = self.options
        return options.alignment if isinstance(options, IdentifierOptions) and not self.plugin.titles else 0.0


class DataSet(Method):
    """The data: a source with its options, and what its files hold.

    Attributes:
        name: what the user typed after ``--dataset``.
        source: the plugin that reads it.
        label: what your own data is called: its folder or file.
        files: sha256 of every raw file, by file name.
    """

    kind = "source"

    source: str
    label: str | None = None

    @classmethod
    def _plugin_name(cls, values: Mapping[str, Any]) -> str:
        return str(values.get("source", values.get("name")))

    @property
    def plugin_name(self) -> str:
        """The source."""
        return self.source

    @property
    def called(self) -> str:
        """The name on pages."""
        return self.label or self.name


class LanguageModel(_Part):
    """The language model.

    Attributes:
        name: ``tiny``, the last part of a local model's path, or a hub identifier.
        fingerprint: sha256 of a local model's files.
        commit: the commit of a hub model.
        place: where it is on this machine: a folder, a GGUF file or a hub identifier; not part of the JSON.
    """

    name: str
    options: SerializeAsAny[TinyOptions | PretrainedOptions]
    fingerprint: str | None = None
    commit: str | None = None
    place: str = Field("", exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(given := values.get("options", {}), Mapping):
            return {**values, "options": options_of(str(values["name"])).model_validate(dict(given))}
        return values

    @property
    def called(self) -> str:
        """The name on pages; it says so where only the first layers of the model are kept."""
        kept = self.options.layers if isinstance(self.options, PretrainedOptions) else 0
        return f"{self.name} (first {kept} layer{'s' * (kept != 1)})" if kept else self.name

    @property
    def tiny(self) -> bool:
        """Whether it is the small one that recbench trains from scratch."""
        return self.name == TINY


METHODS = ("backbone", "loss", "decoder", "identifier")
INNER = ("collaborative", "reference", "teacher")
"""Of what a recommender is made of."""


class Recommender(_Part):
    """A model, how it is trained and how it is decoded; those that it builds on are recommenders too.

    Attributes:
        loss, train: None for a model that is only fitted, such as popularity.
        decoder: None for a model that is not decoded itself.
        identifier: None for titles, and for a model that scores items.
        collaborative: scores items, behind a prompt's embeddings or a decoder's fusion.
        reference: the starting point and reference of a preference loss.
        teacher: what the method learns from.
    """

    backbone: Backbone
    loss: Loss | None = None
    decoder: Decoder | None = None
    identifier: Identifier | None = None
    llm: LanguageModel | None = None
    train: TrainBudget | None = None
    collaborative: Recommender | None = None
    reference: Recommender | None = None
    teacher: Recommender | None = None

    @property
    def signal(self) -> Signal:
        """``text`` or ``scores``."""
        signal: Signal = self.backbone.plugin.signal
        return signal

    @property
    def first_budget(self) -> TrainBudget:
        """The budget of the language model's first tuning."""
        budget = (self.reference or self).train
        assert budget is not None
        return budget

    @property
    def naming(self) -> Identifier:
        """What stands for an item of a text recommender."""
        return self.identifier or Identifier.model_validate({"name": TITLE})

    @property
    def language_model(self) -> LanguageModel | None:
        """Its own language model, or its teacher's."""
        return self.llm or (self.teacher.language_model if self.teacher else None)

    def methods(self) -> Iterator[Method]:
        """Every plugin that it is made of, nested ones included."""
        yield from self.named().values()

    def named(self) -> dict[str, Method]:
        """The same by name: ``backbone``, ``loss``, ``teacher.backbone`` and so on."""
        found: dict[str, Method] = {}
        for role in (*METHODS, *INNER):
            part = getattr(self, role)
            if isinstance(part, Method):
                found[role] = part
            elif part is not None:
                found |= {f"{role}.{name}": method for name, method in part.named().items()}
        return found

    def with_paths(self, paths: Mapping[str, Mapping[str, str]]) -> Self:
        """The same with this machine's paths of the methods' options, by the names of :meth:`named`."""
        update: dict[str, Any] = {}
        for role in METHODS:
            if role in paths:
                update[role] = getattr(self, role).model_copy(update={"paths": dict(paths[role])})
        for role in INNER:
            if (part := getattr(self, role)) is not None:
                start = f"{role}."
                inside = {name.removeprefix(start): found for name, found in paths.items() if name.startswith(start)}
                update[role] = part.with_paths(inside)
        return self.model_copy(update=update)

    def with_llm(self, **facts: Any) -> Self:
        """The same with facts of the language model (fingerprint, commit, place), wherever it occurs."""
        update: dict[str, Any] = {}
        if self.llm is not None and not self.llm.tiny:
            update["llm"] = self.llm.model_copy(update=facts)
        for role in ("reference", "teacher"):
            if (inner := getattr(self, role)) is not None:
                update[role] = inner.with_llm(**facts)
        return self.model_copy(update=update)


class Spec(_Part):
    """A complete experiment, but for its seeds."""

    dataset: DataSet
    recommender: Recommender
    evaluate: EvaluateOptions
    machine: MachineOptions
    tuning: Tuning | Search | None = None

    def spec_hash(self) -> str:
        """16 hex digits over the canonical JSON."""
        return digest(self.plain())[:16]

    @classmethod
    def from_record(cls, spec: Mapping[str, Any], name: str = "the record") -> Spec:
        """The spec that a record holds.

        Raises:
            RecbenchError: it is not a spec of this version; names the part.
            UsageError: a plugin that it names is not installed.
        """
        from pydantic import ValidationError

        try:
            return cls.model_validate(spec)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the spec"
            raise RecbenchError(f"{name} holds a spec that cannot be used ({where}: {first['msg']}).") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise RecbenchError(f"{name} holds a spec that cannot be used ({error!r}).") from error
