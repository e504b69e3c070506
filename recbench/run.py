"""One experiment: plan it, run each seed, keep a record that is always complete for the seeds it holds."""

from __future__ import annotations

import ctypes
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from recbench import processes, registry
from recbench.config import Request, RunSpec, resolve
from recbench.data.catalog import datasets
from recbench.data.prepare import entry
from recbench.description import describe, run_id
from recbench.errors import DataError, RecbenchError, UsageError
from recbench.files import reason, sweep_temporaries, write_atomic
from recbench.interfaces import Reporter
from recbench.language.facts import describe_llm
from recbench.results import RunRecord, SeedResult, Store, environment, peak_memory_bytes, read
from recbench.results import write as write_record
from recbench.stages import TEXTS, Stages, source_of
from recbench.types import Split

STORE = "artefacts"
RECORD = "record.json"


def plan(request: Request) -> RunSpec:
    """The complete spec of a request, checksums of its inputs included; reads files, imports no method but a source.

    Raises:
        UsageError: anything about the request that cannot be.
        DataError: a raw file is missing.
    """
    found = entry(request.dataset)
    request = replace(request, processes=processes.world())
    spec = resolve(request, found.source, found.options)
    spec = spec.with_facts("dataset", inputs=dict(source_of(spec).inputs()))
    place = next((Path(v) for k, v in spec.places.items() if k != "llm"), None)
    if place is not None:  # one's own data is called by its folder or file
        place = place.expanduser().resolve()
        label = place.name if place.is_dir() else place.stem
        label = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-._") or "own"
        spec = spec.with_facts("dataset", label=label if label not in datasets() else f"own-{label}")
    if spec.llm:
        llm = describe_llm(request.llm, spec.llm["options"].get("revision", ""))
        known = {"fingerprint": llm.fingerprint, "commit": llm.commit}
        spec = spec.with_llm_facts(**{fact: value for fact, value in known.items() if value is not None})
        spec = replace(spec, places={**spec.places, "llm": llm.place})
    return spec


def run(
    spec: RunSpec,
    seeds: Sequence[int],
    runs: Path,
    command: str,
    reporter: Reporter,
    again: bool = False,
) -> RunRecord:
    """Run every seed that is not finished yet.

    Args:
        spec: from :func:`plan`.
        seeds: the seeds; a method whose result does not depend on them runs once, as seed 0.
        runs: folder of runs; stages go to ``runs/artefacts``.
        command: how to run it again, for the record.
        reporter: progress.
        again: compute finished seeds anew.

    Returns:
        The record with the seeds asked for and any finished before.

    Raises:
        RecbenchError: of any stage; seeds finished before stay recorded.
    """
    begin(spec)
    if not registry.get("backbone", spec.parts["backbone"]["name"]).seeded and tuple(seeds) != (0,):
        reporter.message(f"{spec.parts['backbone']['name']} does not depend on the seed: it runs once")
        seeds = (0,)
    folder = runs / run_id(spec)
    store = Store(runs / STORE)
    if processes.is_main():
        _make_folder(folder)
        for path in [*store.sweep(), *sweep_temporaries(folder)]:
            reporter.message(f"removed what an interrupted run left: {path.name}")
    stages = Stages(spec, store, reporter, again)
    split = stages.split()
    base = describe(spec, split, stages.test_cases(split), command)
    done = _finished(folder, base, again)
    for number, seed in enumerate(seeds, start=1):
        if seed in done and not again:
            reporter.message(f"seed {seed} ({number} of {len(seeds)}): finished before")
            continue
        reporter.message(f"seed {seed} ({number} of {len(seeds)})")
        result = _one_seed(stages, split, seed)
        processes.once(lambda: _keep_texts(stages, folder, seed))  # noqa: B023 - called at once
        done = processes.once(lambda: _keep(folder, base, result, again))  # noqa: B023 - called at once
    return _assemble(base, [done[s] for s in sorted(done)])


def begin(spec: RunSpec) -> None:
    """Make this process ready for the spec's stages: device, other processes, threads, repeatable algorithms.

    Raises:
        UsageError: the device or the number of processes is not what the spec says.
    """
    _check_device(spec)
    if (wanted := spec.parts["machine"]["processes"]) != processes.world():
        raise UsageError(f"machine.processes={wanted} but {processes.world()} started: torchrun starts more.")
    processes.join(spec.parts["machine"]["device"])
    _prepare_process(spec)


def _one_seed(stages: Stages, split: Split, seed: int) -> SeedResult:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    before = time.perf_counter()
    stages.used = {name: stage for name, stage in stages.used.items() if name == "prepare"}
    ranking, _ = stages.ranking(split, seed)
    report = stages.report()
    stages.reporter.message(
        f"seed {seed} done in {time.perf_counter() - before:.0f} s: "
        f"{report.steps} training steps, epoch {report.best_epoch}"
    )
    return SeedResult(
        seed=seed,
        ranks=ranking.target_ranks(stages.test_cases(split).target),
        invalid_share=ranking.invalid_share,
        validation=report.validation,
        best_epoch=report.best_epoch,
        steps=report.steps,
        losses=report.losses,
        seconds={name: round(stage.seconds, 3) for name, stage in stages.used.items()},
        reused=tuple(name for name, stage in stages.used.items() if stage.reused),
        stages={name: stage.path.name for name, stage in stages.used.items()},
        peak_memory_bytes=max(peak_memory_bytes(stages.spec.parts["machine"]["device"]), report.peak_memory_bytes),
        watched=dict(report.watched),
        started=started,
        environment=environment(_device_words(stages.spec)),
    )


def _keep_texts(stages: Stages, folder: Path, seed: int) -> None:
    """Texts that a stage wrote (LLM-CF's chains of thought) where a person looks for them."""
    for stage in stages.used.values():
        if (texts := stage.path / TEXTS).is_file():
            write_atomic(folder / f"seed{seed}-{TEXTS}", texts.read_bytes())
            stages.reporter.message(f"texts to read: {folder / f'seed{seed}-{TEXTS}'}")


def _assemble(base: Mapping[str, Any], seeds: list[SeedResult]) -> RunRecord:
    """The record, its command naming just the seeds that it holds."""
    numbers = [result.seed for result in seeds]
    counted = numbers == list(range(1, len(numbers) + 1))
    text = str(len(numbers)) if counted else ",".join(map(str, numbers)) + ("," if len(numbers) == 1 else "")
    return RunRecord(**{**base, "command": f"{base['command']} --seeds {text}"}, seeds=tuple(seeds))


def _finished(folder: Path, base: Mapping[str, Any], again: bool) -> dict[int, SeedResult]:
    """The seeds already recorded for the very same cases; ``again`` makes nothing of a record that cannot be read."""
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        record = read(path)
    except DataError:
        if again:
            return {}
        raise
    if record.cases.digest != base["cases"].digest or record.spec_hash != base["spec_hash"]:
        raise RecbenchError(f"{path} was made from other test cases than this spec gives now: move the folder away.")
    return {result.seed: result for result in record.seeds}


def _keep(folder: Path, base: Mapping[str, Any], result: SeedResult, again: bool) -> dict[int, SeedResult]:
    """Add one seed to the record under a lock: another process may be adding its own."""
    with FileLock(folder / ".lock"):
        done = {**_finished(folder, base, again), result.seed: result}
        write_record(_assemble(base, [done[s] for s in sorted(done)]), folder / RECORD)
    return done


def _check_device(spec: RunSpec) -> None:
    if spec.parts["machine"]["device"] == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu.")


def _device_words(spec: RunSpec) -> str:
    if spec.parts["machine"]["device"] == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"CPU, {spec.parts['machine']['threads']} threads"


def _prepare_process(spec: RunSpec) -> None:
    """Threads, repeatable algorithms, quiet libraries, and an allocator that keeps what it has."""
    import os

    # read by libraries when they are first imported or used
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress goes through the reporter
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        # By default glibc returns every tensor of more than 128 KiB to the system and faults it in again.
        libc = ctypes.CDLL("libc.so.6")
        for parameter, value in ((-3, 1 << 30), (-1, (1 << 31) - 1), (-2, 1 << 26)):  # mmap, trim, top pad
            libc.mallopt(parameter, value)
    if "train" not in spec.parts:
        return  # counting items needs no torch, which takes seconds to import
    import torch
    import transformers

    torch.set_num_threads(max(spec.parts["machine"]["threads"] // processes.world(), 1))
    # a debugging aid that costs a pass over every new tensor
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=spec.parts["machine"]["device"] != "cpu")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecbenchError(f"--runs {folder.parent}: {reason(error)}.") from error
