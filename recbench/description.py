"""What a run says about itself: its name, labels, budget, policies, plugins and the command that repeats it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recbench import registry
from recbench.data.first_words import sharing_first_word
from recbench.data.split import cap_per_user, training_sample
from recbench.data.windows import targets_seen
from recbench.errors import UsageError
from recbench.planning import Plan
from recbench.results import Cases, Dataset, Labels, PluginCode, RunRecord
from recbench.results.record import AUTHOR
from recbench.spec.model import DataSet, Method, Recommender, Spec
from recbench.spec.options import EvaluateOptions, Search, TrainBudget, Tuning
from recbench.spec.request import BUDGET, SET, Request
from recbench.steps.code import code_of
from recbench.steps.setting import Setting
from recbench.types import Sequences, Split


def run_id(spec: Spec) -> str:
    """The name of a run's folder: its parts and the hash of its spec."""
    own = spec.recommender
    parts = (own.backbone, own.identifier, own.loss, own.decoder)
    return "-".join([spec.dataset.called, *(part.name for part in parts if part), spec.spec_hash()[:8]])


def spec_of(record: RunRecord, name: str) -> Spec:
    """The spec of a record, to load or run it again.

    Args:
        record: the record.
        name: what a complaint calls it.

    Raises:
        UsageError: other code made its lists, or a plugin that it names is not installed.
        RecbenchError: it is not a spec of this version.
    """
    if record.external:
        raise UsageError(f"The lists of {name} were made by other code: there is no model to load or to run again.")
    return Spec.from_record(record.spec, name)


def describe(plan: Plan, split: Split, cases: Sequences, command: str) -> Mapping[str, Any]:
    """Everything of the record but its seeds."""
    spec, own = plan.spec, plan.spec.recommender
    name, llm = spec.dataset.called, own.language_model
    tuned = spec.tuning.tried if spec.tuning else {}
    return {
        "run": run_id(spec),
        "spec": spec.plain(),
        "spec_hash": spec.spec_hash(),
        "command": command,
        "dataset": Dataset(name=name, label=name, sources=dict(split.sources)),
        "labels": Labels(
            method=_label(own.backbone, [*_naming_words(own), *_teacher_words(own)]),
            loss=_label(own.loss, _tuned_words(own.train, tuned)),
            decoder=_label(own.decoder),
            llm=llm.called if llm else "",
        ),
        "budget": _budget(plan, split),
        "policies": policies(spec.dataset, spec.evaluate, split),
        "plugins": plugins((spec.dataset, *own.methods())),
        "cases": cases_of(spec.evaluate, split, cases),
        "author": author(),
    }


def author() -> str:
    """Who makes records here, as the environment says; empty where it does not.

    Raises:
        UsageError: more than a name.
    """
    name = os.environ.get(AUTHOR, "")
    if len(name) > 200 or not name.isprintable():
        raise UsageError(f"{AUTHOR} (or --author) must be a name on one line of at most 200 characters.")
    return name


def plugins(methods: Iterable[Method]) -> tuple[PluginCode, ...]:
    """The plugins of an experiment with their distribution, version and code, each once."""
    found = {}
    for method in methods:
        name = method.plugin_name
        distribution, version = registry.distribution(method.kind, name)
        code = code_of(method.modules).digest
        found[method.kind, name] = PluginCode(
            kind=method.kind, name=name, distribution=distribution, version=version, code=code
        )
    return tuple(found[key] for key in sorted(found))


def cases_of(evaluate: EvaluateOptions, split: Split, cases: Sequences) -> Cases:
    """What a record holds of its test cases."""
    counts = split.train_counts()
    windows = cap_per_user(split.test, evaluate.per_user) if evaluate.per_user else split.test
    return Cases(
        digest=cases.digest(),
        label=case_label(evaluate, sampled=0 < evaluate.cases < len(windows)),
        users=cases.users,
        target=cases.target,
        cold=(~split.warm_items()[cases.target]).astype(np.int32),
        history_length=cases.history_length,
        popularity=counts[cases.target].astype(np.int32),
        item_popularity=counts.astype(np.int32),
        last=cases.history[:, -1],
        sharing=sharing_first_word(split.catalog.titles)[cases.target],
    )


def case_label(evaluate: EvaluateOptions, sampled: bool) -> str:
    """How test cases were chosen, in words.

    Args:
        evaluate: says how many.
        sampled: whether there were more than ``evaluate.cases``; before 0.11.0, a label spoke of a sample anyway.
    """
    chosen = [f"at most {evaluate.per_user} windows a user"] if evaluate.per_user else []
    chosen += [f"a sample of {evaluate.cases:,}"] if sampled else []
    return ", ".join(chosen) or "all test windows"


def policies(dataset: DataSet, evaluate: EvaluateOptions, split: Split) -> dict[str, str]:
    """The choices of the protocol, by name."""
    protocol = split.facts.get("protocol")
    said = {"protocol": str(protocol).replace("_", " ")} if protocol else {}
    namesakes = getattr(dataset.options, "namesakes", "distinct")
    return {
        **said,
        "items that share a title": str(namesakes),
        "items of the history": f"{evaluate.history} as recommendations",
    }


def _label(part: Method | None, more: list[str] | None = None) -> str:
    """A part's name with the options that differ from its defaults or are always named, and ``more``."""
    if part is None:
        return ""
    defaults, always = type(part.options)().model_dump(mode="json"), type(part.options).labelled
    changed = [f"{k}={v}" for k, v in part.plain()["options"].items() if k in always or defaults.get(k) != v]
    changed += [f"{option} {digest[:8]}" for option, digest in part.files.items()]
    changed += more or []
    return part.name + (f" ({', '.join(changed)})" if changed else "")


def _naming_words(own: Recommender) -> list[str]:
    """An identifier other than the title, with the options that differ from its defaults, for the method's label."""
    if own.identifier is None:
        return []
    name, brace, options = _label(own.identifier).partition(" (")
    return [f"identifier={name}", *([options.removesuffix(")")] if brace else [])]


def _teacher_words(own: Recommender) -> list[str]:
    """A teacher other than the usual one, as part of the method's label."""
    if own.teacher is None or own.teacher.loss is None:
        return []
    name, loss = own.teacher.backbone.name, own.teacher.loss.name
    usual = own.backbone.plugin.requires["teacher"]
    if (name, loss) == (usual, registry.get("backbone", usual).default_loss):
        return []
    return [f"teacher={name}+{loss}"]


def _tuned_words(train: TrainBudget | None, tried: Mapping[str, Any]) -> list[str]:
    """Budget options that were chosen on validation, as part of the loss's label."""
    chosen = [name.partition(".")[2] for name in tried if name.startswith("train.")]
    return [f"{option}={getattr(train, option)}" for option in chosen]


def _budget(plan: Plan, split: Split) -> dict[str, str]:
    spec, own = plan.spec, plan.spec.recommender
    train = own.train
    if train is None:
        return {"training": "none"}
    windows = training_sample(split, train.samples, train.stride)
    setting = Setting(spec.dataset, spec.evaluate, spec.machine, 0)
    validation = len(setting.validation_cases(split))
    budget = {
        "preset": plan.preset,
        "training windows": f"{len(windows):,} of {len(split.train):,}",
        **({"targets": targets_seen(windows, split.train).words()} if train.targets == "all" else {}),
        "epochs": f"at most {train.epochs}" if train.patience else str(train.epochs),
        "batch": str(train.batch_size),
        "learning rate": f"{train.learning_rate:g}",
        "epoch chosen on": f"{validation:,} validation windows",
    }
    for name, role in (("before", own.reference), ("teacher", own.teacher), ("collaborative model", own.collaborative)):
        if role is not None:
            budget[name] = _words(role, name)
    if spec.tuning:
        budget["tuning"] = _tuning_words(spec.tuning)
    return budget


def _tuning_words(tuning: Tuning | Search) -> str:
    """What was tried, and how: ``loss.tau in 1, 2 (2 settings, seed 1, on validation)``."""
    tried = "; ".join(f"{k} in {v if isinstance(v, str) else ', '.join(map(str, v))}" for k, v in tuning.tried.items())
    if isinstance(tuning, Tuning):
        return f"{tried} ({tuning.trials} settings, seed {tuning.seed}, on validation)"
    ended = "".join(f", {n} {word}" for word in ("pruned", "diverged") if (n := getattr(tuning, word)))
    how = f"{tuning.trials} trials by {tuning.sampler}{ended}, seed {tuning.seed}"
    return f"{tried} ({how}, the best on validation)"


def _words(part: Recommender, role: str) -> str:
    loss = part.loss.name if part.loss else ""
    who = {"before": loss, "teacher": f"{part.backbone.name} + {loss}"}.get(role, part.backbone.name)
    if part.train is None:
        return who
    budget = part.train
    epochs = f"{'at most ' * bool(budget.patience)}{budget.epochs} epoch{'s' * (budget.epochs != 1)}"
    stride = f", every {budget.stride}th of a user" if budget.stride > 1 else ""
    every = ", every title a target" if budget.targets == "all" else ""
    return f"{who}, {epochs} on {f'{budget.samples:,}' if budget.samples else 'all'} windows{stride}{every}"


def command_of(request: Request, plan: Plan) -> str:
    """The command line that repeats a request, but for its seeds; paths are shown as they were given."""
    machine = plan.spec.machine
    launch = ["torchrun", "--nproc_per_node", str(machine.processes), "-m"] if machine.processes > 1 else []
    tuning = request.tuning
    words = [*launch, "recbench", "tune" if tuning else "run", "--model", request.model]
    for name in ("loss", "decoder", "identifier", "dataset", "data_dir", "llm"):
        value = getattr(request, name)
        if value is not None and value != Request.model_fields[name].default:
            words += [f"--{name.replace('_', '-')}", value]
    words += ["--preset", plan.preset, "--device", machine.device]
    for flag in BUDGET:
        if (number := getattr(request, flag)) is not None:
            words += [f"--{flag.replace('_', '-')}", str(number)]
    tried = tuning.tried if tuning else {}
    for group, options in request.options.items():
        for option, value in options.items():
            if f"{group}.{option}" not in tried:
                words += [f"--{SET}", f"{group}.{option}={_yaml(value)}"]
    flag = "--space" if isinstance(tuning, Search) else "--grid"
    for target, values in tried.items():
        text = values if isinstance(values, str) else ",".join(map(_yaml, values))
        words += [flag, f"{target}={text}"]
    if isinstance(tuning, Search):
        words += ["--sampler", tuning.sampler, "--pruner", tuning.pruner, "--trials", str(tuning.trials)]
    if tuning:
        words += ["--tune-seed", str(tuning.seed), "--run"]
    return shlex.join(words)


def shareable(command: str) -> str:
    """The command without folders of this machine: paths are shown by their last part."""
    words = shlex.split(command)
    for number, word in enumerate(words[:-1]):
        if word in ("--data-dir", "--llm") and Path(words[number + 1]).expanduser().exists():
            words[number + 1] = Path(words[number + 1]).expanduser().resolve().name
        option, equals, value = words[number + 1].partition("=")
        if word == f"--{SET}" and equals and "/" in value and Path(value).expanduser().exists():
            words[number + 1] = f"{option}={Path(value).expanduser().resolve().name}"
    return shlex.join(words)


def _yaml(value: Any) -> str:
    """A value as ``--set`` reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, list | dict):
        import json

        return json.dumps(value)
    return str(value)
