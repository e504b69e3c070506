"""From a request to a complete, validated spec, and where each of its values comes from.

Values are layered: option defaults, datasets.yaml, the method's own training defaults, preset, configuration file,
flags, ``--set``. Every option lives in one class, in one place; this module only finds it by group and name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.budget import PRESETS, TRAIN_DEFAULTS, EvaluateOptions, MachineOptions, TrainBudget
from recbench.config.layers import Layers
from recbench.config.spec import Request, RunSpec
from recbench.errors import UsageError, did_you_mean
from recbench.interfaces import BackbonePlugin, Options
from recbench.language.options import TINY, options_of

FLAGS = {"epochs": ("train", "epochs"), "train_samples": ("train", "samples"), "batch_size": ("train", "batch_size")}
TEACHER = "teacher"
TEACHER_WORDS = ("model", "loss", "decoder")


def resolve(request: Request, source: str, source_defaults: Mapping[str, Any]) -> RunSpec:
    """Look everything up, layer the values, validate, check that the parts fit together. Imports no method.

    Args:
        request: what the user asked.
        source, source_defaults: the data set's plugin and options from datasets.yaml.

    Raises:
        UsageError: an unknown name or option, a value of the wrong kind, or parts that do not go together.
    """
    preset = request.preset or ("paper" if request.device == "cuda" else "cpu")
    if preset not in PRESETS:
        raise UsageError(f"Unknown preset {preset!r}: {did_you_mean(preset, PRESETS)}")
    backbone = registry.get("backbone", request.model)
    layers = Layers(request)
    parts: dict[str, Any] = {}
    options = registry.get("source", source).options
    dataset = layers.options(
        "dataset", options, [("datasets.yaml", source_defaults)], [("--data-dir", request.dataset_options)]
    )
    places = {k: str(v) for k, v in dataset.items() if v and _is_path(options, k)}
    shown = {k: v for k, v in dataset.items() if k not in places}
    parts["dataset"] = {"name": request.dataset, "source": source, "options": shown}
    parts |= _recommender(request, layers, backbone, preset)
    if "llm" in parts or "teacher" in parts:
        places["llm"] = request.llm
    elif request.llm != TINY:
        raise UsageError(f"--llm does not apply: {request.model} has no language model.")
    parts["evaluate"] = layers.options("evaluate", EvaluateOptions, [(f"preset {preset}", PRESETS[preset]["evaluate"])])
    device = [(request.device_origin, {"device": request.device})]
    said_so = request.device_origin == "--device"  # a device that was only detected gives way to a file's
    launched = [("detected", {"processes": request.processes})]
    parts["machine"] = layers.options(
        "machine", MachineOptions, launched if said_so else [*launched, *device], device if said_so else []
    )
    layers.finish()
    if objection := _decoder_options(parts).objection(parts["evaluate"]["depth"]):
        raise UsageError(objection)
    if request.tuning:
        parts["tuning"] = dict(request.tuning)
    return RunSpec(parts, layers.origins, places, preset, backbone.signal)


def _recommender(request: Request, layers: Layers, backbone: BackbonePlugin, preset: str) -> dict[str, Any]:
    """Backbone, what it requires, loss, decoder, language model and budget."""
    text = backbone.signal == "text"
    loss = request.loss or backbone.default_loss
    decoder = request.decoder or backbone.default_decoder
    _check_fit(request, backbone, loss, decoder)
    parts: dict[str, Any] = {
        "backbone": {"name": request.model, "options": layers.options("backbone", backbone.options, [])},
        "decoder": {
            "name": decoder,
            "options": layers.options("decoder", registry.get("decoder", decoder).options, []),
        },
    }
    mixed = _decoder_options(parts).requires()
    wanted = {**mixed, **backbone.requires}
    if "collaborative" in wanted:
        own = parts["backbone"]["options"].get("collaborative", wanted["collaborative"])
        if mixed.get("collaborative", own) != own:
            raise UsageError(
                f"decoder.collaborative={mixed['collaborative']} and backbone.collaborative={own}: a run has one "
                "collaborative model, so name the same."
            )
        parts["collaborative"] = _collaborative(layers, parts["backbone"], wanted["collaborative"], preset)
    if "teacher" in wanted:
        depth = backbone.options(**parts["backbone"]["options"]).teacher_depth()
        parts["teacher"] = _teacher(request, layers, wanted["teacher"], preset, depth)
    kind = "scores"
    if text:
        kind = "tiny" if request.llm == TINY else "pretrained"
        precision = [("GPU", {"precision": "bf16"})] if request.device == "cuda" and kind == "pretrained" else []
        options = layers.options("llm", options_of(request.llm), precision)
        parts["llm"] = {"name": _llm_name(request.llm), "options": options}
    if not loss:
        if said := [flag for flag in FLAGS if request.flags.get(flag) is not None]:
            raise UsageError(f"--{said[0].replace('_', '-')} does not apply: {request.model} is not trained.")
        return parts
    plugin = registry.get("loss", loss)
    parts["loss"] = {"name": loss, "options": layers.options("loss", plugin.options, [])}
    if plugin.after:
        if parts.get("llm", {}).get("options", {}).get("bits", 16) < 16:
            raise UsageError(f"--loss {loss} needs llm.bits=16: TRL rounds what is trained beside quantised weights.")
        first = layers.options("reference", registry.get("loss", plugin.after).options, [])
        budget = layers.options("reference_train", TrainBudget, _train_layers(kind, preset), _flags(request))
        parts["reference"] = {"loss": {"name": plugin.after, "options": first}, "train": budget}
        kind = f"preference {kind}"
    parts["train"] = layers.options("train", TrainBudget, _train_layers(kind, preset), _flags(request))
    return parts


def _teacher(request: Request, layers: Layers, default: str, preset: str, depth: int) -> dict[str, Any]:
    """The recommender to learn from, resolved as if it were run by itself, so that both share their stages."""
    words: dict[str, str] = {}
    groups: dict[str, dict[str, Any]] = {}
    for key, value in layers.raw("teacher").items():
        group, dot, option = key.partition(".")
        if isinstance(value, dict) and not dot:  # as a file may write it: teacher: {loss: {tau: 2}}
            groups.setdefault(group, {}).update(value)
            continue
        if not dot and key in TEACHER_WORDS:
            words[key] = str(value)
            continue
        if not dot:
            known = f"{', '.join(TEACHER_WORDS)} or GROUP.OPTION"
            raise UsageError(f"--set teacher.{key} does not exist: a teacher has {known}, such as teacher.loss.tau.")
        groups.setdefault(group, {})[option] = value
    asked = Request(
        model=words.get("model", default),
        loss=words.get("loss"),
        decoder=words.get("decoder"),
        llm=request.llm,
        device=request.device,
        flags=request.flags,
        flag_origins=request.flag_origins,
        config={"set": groups},
        config_name=TEACHER,
    )
    plugin = registry.get("backbone", asked.model)
    if plugin.signal != "text":
        raise UsageError(
            f"teacher.model={asked.model} must be a backbone that writes titles, not one that scores items."
        )
    inner = Layers(asked)
    try:
        parts = _recommender(asked, inner, plugin, preset)
        inner.finish()
        if objection := _decoder_options(parts).objection(depth):
            raise UsageError(objection)
    except UsageError as error:
        text = str(error).removeprefix(f"{TEACHER}: ").removeprefix(f"{TEACHER} ")
        raise UsageError(f"The teacher: {text}") from error
    said = {f"{group}.{option}": origin for (group, option), origin in inner.origins.items()}
    said |= {{"model": "backbone"}.get(word, word): "--set" for word in words}
    layers.origins |= {("teacher", name): "--set" if origin == TEACHER else origin for name, origin in said.items()}
    return parts


def _check_fit(request: Request, backbone: BackbonePlugin, loss: str, decoder: str) -> None:
    if request.loss and not backbone.default_loss:
        raise UsageError(f"--loss {request.loss} does not apply: {request.model} is not trained by a loss.")
    makes = _words(backbone.signal)
    if loss and (trains := registry.get("loss", loss).signal) != backbone.signal:
        raise UsageError(
            f"--loss {loss} trains {_words(trains)}, but {request.model} produces "
            f"{makes}: use {_fitting('loss', backbone.signal)}."
        )
    if (accepts := registry.get("decoder", decoder).signal) != backbone.signal:
        raise UsageError(
            f"--decoder {decoder} needs {_words(accepts)}, but {request.model} "
            f"produces {makes}: use {_fitting('decoder', backbone.signal)}."
        )


def _words(signal: str) -> str:
    return "titles" if signal == "text" else "item scores"


def _fitting(kind: str, signal: str) -> str:
    fitting = []
    for name in registry.names(kind):
        try:
            if registry.get(kind, name).signal == signal:
                fitting.append(name)
        except Exception:
            continue
    return " or ".join(fitting)


def _llm_name(llm: str) -> str:
    """A local model is called by its last folder or file, a hub model by its whole identifier."""
    local = Path(llm).expanduser()
    if llm == TINY or not local.exists():
        return llm
    name = local.resolve().name
    return name if name != TINY else f"./{name}"


def _is_path(model: type[Options], option: str) -> bool:
    extra = model.model_fields[option].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("path"))


def _decoder_options(parts: Mapping[str, Any]) -> Options:
    decoder = parts["decoder"]
    return registry.get("decoder", decoder["name"]).options(**decoder["options"])


def _train_layers(kind: str, preset: str) -> list[tuple[str, Mapping[str, Any]]]:
    group = "scores" if kind == "scores" else "preference" if kind.startswith("preference") else "text"
    return [(f"{kind} default", TRAIN_DEFAULTS[kind]), (f"preset {preset}", PRESETS[preset][group])]


def _collaborative(layers: Layers, backbone: Mapping[str, Any], default: str, preset: str) -> dict[str, Any]:
    """The collaborative model: trained exactly as if it were run by itself, so that both share one artefact."""
    name = str(backbone["options"].get("collaborative", default))
    plugin = registry.get("backbone", name)
    if plugin.signal != "scores" or plugin.requires:
        kind = "one that writes titles" if plugin.signal == "text" else "one that learns from a teacher"
        raise UsageError(f"collaborative={name} must be a backbone that scores items by itself, not {kind}.")
    part: dict[str, Any] = {"name": name, "options": layers.options("collaborative", plugin.options, [])}
    if not plugin.default_loss:
        return {**part, "loss": None, "train": None}
    options = registry.get("loss", plugin.default_loss).options().model_dump(mode="json")
    train = layers.options("collaborative_train", TrainBudget, _train_layers("scores", preset))
    return {**part, "loss": {"name": plugin.default_loss, "options": options}, "train": train}


def _flags(request: Request) -> list[tuple[str, Mapping[str, Any]]]:
    """Budget flags: they hold for every model of the run that a loss trains, but the collaborative one."""
    return [
        (request.flag_origins.get(flag, f"--{flag.replace('_', '-')}"), {option: request.flags[flag]})
        for flag, (_, option) in FLAGS.items()
        if request.flags.get(flag) is not None
    ]
