"""From a request to a complete, validated spec, and where each of its values comes from.

Values are layered: option defaults, datasets.yaml, the method's own training defaults, preset, files, flags, ``--set``.
Every option lives in one class, in one place; this module only finds it by group and name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recbench import registry
from recbench.errors import UsageError, did_you_mean, within
from recbench.interfaces import BackbonePlugin, Options
from recbench.interfaces.identifiers import TITLE
from recbench.spec.fitting import check_identifier, check_parts
from recbench.spec.layers import Layers, Origins
from recbench.spec.llm import TINY, LanguageModelOptions, PretrainedOptions, options_of
from recbench.spec.model import (
    Backbone,
    DataSet,
    Decoder,
    Identifier,
    LanguageModel,
    Loss,
    Method,
    Recommender,
    Spec,
)
from recbench.spec.options import PRESETS, TRAIN_DEFAULTS, EvaluateOptions, MachineOptions, TrainBudget
from recbench.spec.paths import data_option, file_digests, split_paths
from recbench.spec.request import BUDGET, SET, Request

TEACHER = "teacher"
WORDS = ("model", "loss", "decoder", "identifier")


@dataclass(frozen=True)
class Resolved:
    """A spec, who said each of its values, the name of its preset, and what of the request had no effect."""

    spec: Spec
    origins: Origins
    preset: str
    notes: tuple[str, ...] = ()


def resolve(request: Request, device: str, processes: int, source: str, defaults: Mapping[str, Any]) -> Resolved:
    """Look everything up, layer the values, validate, check that the parts fit together.

    Args:
        request: what the user asked for.
        device: what ``auto`` means on this machine.
        processes: how many share the run.
        source, defaults: the data set's plugin and options in datasets.yaml.

    Raises:
        UsageError: an unknown name or option, a value of the wrong kind, or parts that do not go together.
    """
    if request.device != "auto":
        device = request.device
    preset = request.preset or ("paper" if device == "cuda" else "cpu")
    if preset not in PRESETS:
        raise UsageError(f"Unknown preset {preset!r}: {did_you_mean(preset, PRESETS)}")
    layers = Layers(request)
    data = dataset(request, layers, source, defaults)
    recommender = _Resolver(request, layers, preset, device).recommender()
    evaluate = layers.options("evaluate", EvaluateOptions, [(f"preset {preset}", PRESETS[preset]["evaluate"])])
    detected = [("detected", {"device": device, "processes": processes})]
    if request.device != "auto":
        detected.append((request.origin("device"), {"device": device}))
    machine = layers.options("machine", MachineOptions, detected)
    layers.finish()
    assert recommender.decoder is not None
    if objection := recommender.decoder.options.objection(evaluate.depth):
        raise UsageError(objection)
    spec = Spec(dataset=data, recommender=recommender, evaluate=evaluate, machine=machine, tuning=request.tuning)
    return Resolved(spec, layers.origins, preset, _without_effect(request, recommender))


def _without_effect(request: Request, recommender: Recommender) -> tuple[str, ...]:
    """Budget flags of a model that is not trained: one line of flags may serve several models."""
    if recommender.train is not None:
        return ()
    said = {flag: request.origin(flag) for flag in BUDGET if getattr(request, flag) is not None}
    why = f"has no effect, since {request.model} is not trained"
    return tuple(f"{who if who.startswith('--') else f'{who}: {flag}'} {why}" for flag, who in said.items())


def dataset(request: Request, layers: Layers, source: str, defaults: Mapping[str, Any]) -> DataSet:
    """The data set of a request, by its source and the options of datasets.yaml."""
    plugin = registry.get("source", source)
    given = [] if request.data_dir is None else [(request.origin("data_dir"), data_option(request, source))]
    options = layers.options("dataset", plugin.options, [("datasets.yaml", defaults), *given])
    kept, paths = split_paths(options)
    return DataSet(name=request.dataset, source=source, options=kept, paths=paths)


@dataclass
class _Resolver:
    """Resolves one recommender; a teacher's with layers of its own."""

    request: Request
    layers: Layers
    preset: str
    device: str

    def recommender(self) -> Recommender:
        """Backbone, what it requires, loss, decoder, language model and budget."""
        request, plugin = self.request, registry.get("backbone", self.request.model)
        loss = request.loss or plugin.default_loss
        decoder_name = request.decoder or plugin.default_decoder
        check_parts(request, plugin, loss, decoder_name)
        backbone = Backbone(name=request.model, **self._method("backbone", plugin.options))
        decoder = Decoder(name=decoder_name, **self._method("decoder", registry.get("decoder", decoder_name).options))
        identifier = self._identifier(plugin, decoder) if plugin.signal == "text" else None
        collaborative = self._collaborative(backbone, decoder, identifier)
        teacher = self._teacher(plugin.requires["teacher"], backbone) if "teacher" in plugin.requires else None
        llm = self._language_model() if plugin.signal == "text" else None
        if llm is None and teacher is None and request.llm != TINY:
            raise UsageError(f"{request.origin('llm', '--llm')} does not apply: {request.model} has no language model.")
        if llm is None and teacher is None and request.identifier is not None:
            said = request.origin("identifier", "--identifier")
            raise UsageError(f"{said} does not apply: {request.model} has no language model.")
        kind = "scores" if llm is None else "tiny" if llm.tiny else "pretrained"
        parts = {"decoder": decoder, "identifier": identifier, "collaborative": collaborative, "teacher": teacher}
        base = Recommender(backbone=backbone, llm=llm, **parts)
        if loss:
            return self._trained(base, loss, kind)
        return base.model_copy(update={"train": self._budget("train", kind)}) if plugin.trained else base

    def _trained(self, base: Recommender, name: str, kind: str) -> Recommender:
        plugin, reference = registry.get("loss", name), None
        loss = Loss(name=name, **self._method("loss", plugin.options))
        if plugin.after:
            if base.llm and getattr(base.llm.options, "bits", 16) < 16:
                raise UsageError(
                    f"--loss {name} needs llm.bits=16: TRL rounds what is trained next to quantised weights."
                )
            first = registry.get("loss", plugin.after)
            start = Loss(name=plugin.after, **self._method("reference", first.options))
            budget = self._budget("reference_train", kind, naming=base.identifier)
            reference = base.model_copy(update={"decoder": None, "teacher": None, "loss": start, "train": budget})
            kind = f"preference {kind}"
        update = {"loss": loss, "reference": reference, "train": self._budget("train", kind, naming=base.identifier)}
        return base.model_copy(update=update)

    def _method(self, group: str, options: type[Options]) -> dict[str, Any]:
        kept, paths = split_paths(self.layers.options(group, options))
        return {"options": kept, "paths": paths, "files": file_digests(group, paths)}

    def _budget(self, group: str, kind: str, flags: bool = True, naming: Identifier | None = None) -> TrainBudget:
        """A training budget: defaults of the kind of model, the preset, the budget flags, then options."""
        signal = "scores" if kind == "scores" else "preference" if kind.startswith("preference") else "text"
        layers = [(f"{kind} default", TRAIN_DEFAULTS[kind]), (f"preset {self.preset}", PRESETS[self.preset][signal])]
        only = "a preference loss" if signal == "preference" else self._last_only(signal, naming)
        if only:
            layers.append((only, {"targets": "last"}))
        if flags:
            for flag, option in BUDGET.items():
                if (value := getattr(self.request, flag)) is not None:
                    layers.append((self.request.origin(flag), {option: value}))
        found = self.layers.options(group, TrainBudget, layers)
        if only and found.targets != "last":
            instead = "set reference_train.targets instead" if signal == "preference" else "use last"
            raise UsageError(f"{group}.targets={found.targets} cannot be used with {only}: {instead}.")
        return found

    def _last_only(self, signal: str, naming: Identifier | None) -> str:
        """Why no item of a history can be a target; empty where it can."""
        plugin = registry.get("backbone", self.request.model)
        if naming is not None and naming.shows == "titles":
            return "identifier.shows=titles, since a history then shows no identifier"
        if signal == "scores":
            return "models that score items"
        targets: str = plugin.implementation.targets
        return f"{self.request.model}, whose prompt does not keep titles apart" if targets == "last" else ""

    def _identifier(self, backbone: BackbonePlugin, decoder: Decoder) -> Identifier | None:
        """What stands for an item; None for its title."""
        name = self.request.identifier or TITLE
        found = Identifier(name=name, **self._method("identifier", registry.get("identifier", name).options))
        if name == TITLE:
            return None
        check_identifier(self.request, found, backbone, decoder)
        return found

    def _language_model(self) -> LanguageModel:
        name = self.request.llm
        bf16 = [("GPU", {"precision": "bf16"})] if self.device == "cuda" and name != TINY else []
        model: type[LanguageModelOptions] = options_of(name)
        options = self.layers.options("llm", model, bf16)
        last = options.adapt_last if isinstance(options, PretrainedOptions) else 0
        if last and "collaborative" in registry.get("backbone", self.request.model).requires:
            raise UsageError(
                f"llm.adapt_last={last} cannot be used with {self.request.model}: the projector of its tokens is "
                "trained below the first layer."
            )
        return LanguageModel(name=name, options=options, place=name)

    def _collaborative(self, backbone: Method, *others: Method | None) -> Recommender | None:
        """The collaborative model: trained exactly as if it were run by itself, so that both share their steps."""
        wanted = {part.kind: found for part in others if part and (found := _of(part.options.requires()))}
        if default := _of(backbone.plugin.requires):
            wanted["backbone"] = str(getattr(backbone.options, "collaborative", default))
        if not wanted:
            return None
        own, *rest = set(wanted.values())
        if rest:
            said = " and ".join(f"{part}.collaborative={name}" for part, name in wanted.items())
            raise UsageError(f"{said}: a run has one collaborative model, so name the same one everywhere.")
        plugin = registry.get("backbone", own)
        if plugin.signal != "scores" or plugin.requires:
            kind = "one that writes titles" if plugin.signal == "text" else "one that learns from a teacher"
            raise UsageError(f"collaborative={own} must be a backbone that scores items by itself, not {kind}.")
        base = Recommender(backbone=Backbone(name=own, **self._method("collaborative", plugin.options)))
        if not plugin.default_loss and not plugin.trained:
            return base
        update: dict[str, Any] = {"train": self._budget("collaborative_train", "scores", flags=False)}
        if name := plugin.default_loss:
            update["loss"] = Loss(name=name, options=registry.get("loss", name).options())
        return base.model_copy(update=update)

    def _teacher(self, default: str, student: Method) -> Recommender:
        """The recommender to learn from, resolved as if it were run by itself, so that both share their steps."""
        request = _teacher_request(self.request, self.layers.raw(TEACHER), default)
        plugin = registry.get("backbone", request.model)
        if plugin.signal != "text":
            raise UsageError(
                f"teacher.model={request.model} must be a backbone that writes titles, not one that scores items."
            )
        inner = Layers(request, TEACHER)
        try:
            teacher = _Resolver(request, inner, self.preset, self.device).recommender()
            inner.finish()
            assert teacher.decoder is not None
            if objection := teacher.decoder.options.objection(student.options.teacher_depth()):
                raise UsageError(objection)
        except UsageError as error:
            raise UsageError(within("the teacher", error)) from error
        self.layers.origins |= {(TEACHER, f"{group}.{option}"): who for (group, option), who in inner.origins.items()}
        for word in WORDS:
            if word in request.origins:
                part = {"model": "backbone"}.get(word, word)
                self.layers.origins[TEACHER, part] = request.origins[word]
        return teacher


def _teacher_request(request: Request, given: Mapping[str, Any], default: str) -> Request:
    """The request for a teacher alone, from ``--set teacher.model=...`` and ``teacher.GROUP.OPTION=...``."""
    words: dict[str, str] = {"model": default, **({"identifier": request.identifier} if request.identifier else {})}
    groups: dict[str, dict[str, Any]] = {}
    origins = {flag: request.origins[flag] for flag in (*BUDGET, "llm", "identifier") if flag in request.origins}
    for key, value in given.items():
        origin = request.origin(f"{SET}.{TEACHER}.{key}", "--set")
        group, dot, option = key.partition(".")
        if dot:
            groups.setdefault(group, {})[option] = value
            origins[f"{SET}.{group}.{option}"] = origin
        elif isinstance(value, dict):  # as a file may write it: teacher: {loss: {tau: 2}}
            groups.setdefault(group, {}).update(value)
            origins |= {f"{SET}.{group}.{name}": origin for name in value}
        elif key in WORDS:
            words[key], origins[key] = str(value), origin
        else:
            known = f"{', '.join(WORDS)} or GROUP.OPTION"
            raise UsageError(f"{origin} teacher.{key} does not exist: a teacher has {known}, such as teacher.loss.tau.")
    budget = {flag: getattr(request, flag) for flag in BUDGET}
    return Request(**words, llm=request.llm, device=request.device, options=groups, origins=origins, **budget)


def _of(required: Mapping[str, str]) -> str:
    return required.get("collaborative", "")
