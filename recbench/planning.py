"""From a request to a plan: the complete spec, checksums of its inputs included, and where everything is here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from recbench import processes, registry
from recbench.data.catalog import datasets, entry
from recbench.data.raw.folder import MANIFEST
from recbench.device import automatic
from recbench.errors import UsageError, did_you_mean
from recbench.files import read_json, sha256_path
from recbench.language.known import describe_named, placed
from recbench.language.layers import check_layers
from recbench.spec.layers import Layers, Origins
from recbench.spec.llm import PretrainedOptions
from recbench.spec.model import INNER, DataSet, Method, Recommender, Spec
from recbench.spec.options import PRESETS, EvaluateOptions
from recbench.spec.request import Request
from recbench.spec.resolve import dataset, resolve


@dataclass(frozen=True)
class Plan:
    """An experiment that can be run on this machine.

    Attributes:
        spec: what decides the result, and the places of its files here.
        origins: who said each value, by (group, option).
        preset: the preset's name; empty for a spec that came from a record.
        notes: what of the request had no effect.
    """

    spec: Spec
    origins: Origins
    preset: str
    notes: tuple[str, ...] = ()


def plan(request: Request) -> Plan:
    """The complete plan of a request; reads files, trains nothing.

    Raises:
        UsageError: anything invalid about the request, such as curves for a package that is not installed.
        DataError: a raw file is missing.
        RecbenchError: a language model's repository cannot be reached.
    """
    found = entry(request.dataset)
    device = automatic() if request.device == "auto" else request.device
    resolved = resolve(request, device, processes.world(), found.source, found.options)
    spec = resolved.spec.model_copy(
        update={"dataset": measured(resolved.spec.dataset), "recommender": _with_llm(resolved.spec.recommender)}
    )
    check_reports(spec.recommender)
    return Plan(spec, resolved.origins, resolved.preset, resolved.notes)


def protocol(request: Request) -> tuple[DataSet, EvaluateOptions]:
    """What a request says about the data and the test cases, with nothing to run on them.

    The preset is ``cpu`` unless the request names another: what is evaluated must not depend on a GPU.

    Raises:
        UsageError: an unknown data set, preset or option, or an option of something to run.
        DataError: a raw file is missing.
    """
    found, layers, preset = entry(request.dataset), Layers(request), request.preset or "cpu"
    if preset not in PRESETS:
        raise UsageError(f"Unknown preset {preset!r}: {did_you_mean(preset, PRESETS)}")
    data = dataset(request, layers, found.source, found.options)
    evaluate = layers.options("evaluate", EvaluateOptions, [(f"preset {preset}", PRESETS[preset]["evaluate"])])
    layers.finish()
    return measured(data), evaluate


def check_reports(recommender: Recommender) -> None:
    """Refuse curves for a package that is not installed.

    Raises:
        UsageError: names it.
    """
    for tracker in recommender.train.report_to if recommender.train else ():
        found = find_spec(tracker)
        if found is None or found.origin is None:  # a folder of the name in the working directory is no package
            raise UsageError(f"train.report_to={tracker}: the package is not installed; pip install {tracker}.")
    for role in INNER:
        if (inner := getattr(recommender, role)) is not None:
            check_reports(inner)


def measured(dataset: DataSet) -> DataSet:
    """A data set with the checksums of its raw files, and the name of your own data.

    Raises:
        UsageError: a prepared folder holds another data set of datasets.yaml.
        DataError: a file is missing.
    """
    place = next((Path(path) for path in dataset.paths.values()), None)
    held = _prepared_as(place) if dataset.source == "parquet" and place is not None else None
    if held not in (None, dataset.name) and dataset.name != "parquet":
        raise UsageError(
            f"{place} holds {held}, as recbench data prepare wrote it, not {dataset.name}: use --dataset {held}."
        )
    with registry.blamed([("source", dataset.plugin_name)]):
        files = dict(dataset.make().inputs())
    label = None
    if place is not None:
        place = place.resolve()
        label = re.sub(r"[^A-Za-z0-9._-]+", "-", place.name if place.is_dir() else place.stem).strip("-._") or "own"
        taken = datasets().get(label)
        folder = dataset.source in ("parquet", "prepared")
        if taken and not (taken.raw and folder):  # a folder called toy may well be what recbench data prepare toy wrote
            label = f"own-{label}"
    return dataset.model_copy(update={"files": files, "label": label})


def _prepared_as(folder: Path) -> str | None:
    """The data set of datasets.yaml that a folder says it holds; None for your own, or where nothing says so."""
    try:
        name = read_json(folder / MANIFEST)["name"]
        return name if datasets()[name].source == "parquet" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # reading the folder says what is wrong with it


def _with_llm(recommender: Recommender) -> Recommender:
    """The language model pinned to what it is now: a local one by its content, a hub one by its commit."""
    llm = recommender.language_model
    if llm is None or llm.tiny:
        return recommender
    facts = describe_named(llm.place, getattr(llm.options, "revision", ""))
    if isinstance(llm.options, PretrainedOptions):
        check_layers(facts.place, llm.options)
    return recommender.with_llm(name=facts.name, place=facts.place, fingerprint=facts.fingerprint, commit=facts.commit)


def places(spec: Spec) -> dict[str, dict[str, str]]:
    """The paths on this machine that options name, by method and option: what a record does not hold."""
    return {name: part.paths for name, part in _parts(spec).items() if part.paths}


def located(spec: Spec, paths: Mapping[str, Mapping[str, str]], llm: str | None) -> Spec:
    """A record's spec with this machine's paths.

    Args:
        spec: of a record.
        paths: by method (``dataset``, ``backbone``, ...) and option.
        llm: where the language model is, or its name in models.yaml.

    Raises:
        UsageError: a file that an option named is not given, or is another one now.
    """
    dataset = spec.dataset.model_copy(update={"paths": dict(paths.get("dataset", {}))})
    recommender = spec.recommender.with_paths(paths)
    if llm is not None:
        recommender = recommender.with_llm(place=placed(llm) or llm)
        model = recommender.language_model
        if model and model.fingerprint and describe_named(llm).fingerprint != model.fingerprint:
            raise UsageError(f"--llm {model.name}={llm} is not the model that the record was made from.")
    found = spec.model_copy(update={"dataset": dataset, "recommender": recommender})
    for name, part in found.recommender.named().items():
        for option, digest in part.files.items():
            place = part.paths.get(option)
            if place is None:
                raise UsageError(f"it read a file, {name}.{option}, which a record does not hold.")
            if not Path(place).exists() or sha256_path(Path(place)) != digest:
                raise UsageError(f"{place} is not the file that {name}.{option} was: it is missing or has changed.")
    return found


def _parts(spec: Spec) -> dict[str, Method]:
    return {"dataset": spec.dataset, **spec.recommender.named()}
