"""Train a module for some epochs, keep the best one on validation. transformers.Trainer does the work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments

from recbench.errors import RecbenchError
from recbench.files import scratch
from recbench.interfaces import Fit, FitReport, Resumable
from recbench.seeds import child_seed
from recbench.seeds.everything import seed_everything
from recbench.training import curves
from recbench.training.checkpoint import Keeper
from recbench.training.devices import processes
from recbench.training.order import LikeLengths
from recbench.training.schedule import scheduler
from recbench.training.watch import Watch

Build = Callable[[Mapping[str, Any], list[Any], type], Any]
LOG_EVERY = 20  # steps between two kept values of the loss, fewer in a short training


def fit(
    module: nn.Module,
    examples: Dataset[Any],
    collate: Callable[[list[Any]], Mapping[str, Any]],
    plan: Fit,
    *,
    purpose: str,
    precision: str = "fp32",
    lengths: Sequence[int] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    watched: Callable[[], Mapping[str, float]] | None = None,
    build: Build | None = None,
    parts: Mapping[str, Resumable] | None = None,
) -> FitReport:
    """Train ``module`` in place and leave it at its best epoch.

    Args:
        module: ``forward(**collated)`` returns ``{"loss": scalar}``.
        examples: any map-style dataset.
        collate: examples to what ``module`` is called with.
        plan: budget, seed, device, validation and progress.
        purpose: names the generator derived from the seed.
        precision: fp32, or bf16 for autocast with fp32 master weights.
        lengths: of the examples; given, those of like length share a batch (see :class:`LikeLengths`).
        on_step: called with (step, steps) before each step.
        watched: values to show next to the loss, and to keep at the end (MSL's temperature).
        build: makes the trainer from its settings, callbacks and the bases it must have; transformers' own by default.
        parts: what training changes next to ``module``, by name, such as the loss; without it there are no checkpoints.

    Raises:
        RecbenchError: the plan has no budget.
        Diverged: the loss, a gradient or a weight became infinite or not a number; names the step.
        Stopped: SIGTERM or SIGUSR1; where checkpoints are kept, one is written first.
    """
    count = len(examples)  # type: ignore[arg-type]
    _check_processes(count, plan)
    watch = Watch(module, plan, on_step, watched)
    keeper = _keeper(module, plan, purpose, watch, parts)
    ordered = _ordered(plan, purpose, lengths or [1] * count, keeper, watch)
    seed_everything(plan.seed, purpose)
    started = time.perf_counter()
    with scratch() as folder, curves.places(plan):
        settings = _settings(plan, purpose, precision, count, folder)
        made = _plain(module, examples, collate) if build is None else build
        trainer = made(settings, [watch, *([keeper] if keeper else [])], ordered)
        watch.tell = lambda values: _tell(trainer, values)
        trainer.remove_callback(PrinterCallback)  # it prints every log as a dict; the reporter shows progress
        logging.getLogger("transformers.trainer").setLevel(logging.WARNING)
        steps = _train(trainer, keeper, folder)
        trainer.accelerator.unwrap_model(module, keep_fp32_wrapper=False)  # or its forward stays in autocast
    watch.restore_best()
    module.eval()
    return FitReport(
        steps=steps,
        epochs=len(watch.scores),
        best_epoch=watch.best,
        validation=() if plan.validate is None else tuple(map(float, watch.scores)),
        validation_error=watch.error,
        losses=tuple(watch.losses),
        seconds=time.perf_counter() - started + (keeper.before if keeper else 0.0),
        watched=watch.values(),
        log=tuple(watch.lines),
    )


def _keeper(
    module: nn.Module, plan: Fit, purpose: str, watch: Watch, parts: Mapping[str, Resumable] | None
) -> Keeper | None:
    """Who writes checkpoints; None where there are none."""
    place = plan.checkpoints
    if place is None or place.minutes == 0 or parts is None:
        return None
    keeper = Keeper(place, module, plan, purpose, watch, parts)
    return keeper if keeper.possible() else None


def _train(trainer: Any, keeper: Keeper | None, scratch: Path) -> int:
    """Train from the beginning, or from where an interrupted training was; returns the number of steps in all."""
    if keeper is None:
        trainer.train()
        return int(trainer.state.global_step)
    keeper.trainer = trainer
    folder = keeper.prepare(scratch)
    if keeper.over:
        keeper.restore()
    else:
        with keeper.signals.listening():
            trainer.train(resume_from_checkpoint=folder)
    keeper.place.seconds += keeper.before
    return keeper.over or int(trainer.state.global_step)


def _check_processes(examples: int, plan: Fit) -> None:
    size, number = plan.budget.batch_size, processes()
    if number > 1 and examples < size:
        raise RecbenchError(f"{number} processes need at least one whole batch of {size} windows.")
    if size % number:
        raise RecbenchError(f"train.batch_size={size} cannot be shared evenly by {number} processes.")


def _tell(trainer: Any, values: dict[str, float]) -> None:
    """Log values past the trainer's own method: TRL's would add what it has gathered for the next loss."""
    trainer.control = trainer.callback_handler.on_log(
        trainer.args, trainer.state, trainer.control, {**values, "epoch": trainer.state.epoch}
    )


def _ordered(plan: Fit, purpose: str, lengths: Sequence[int], keeper: Keeper | None, watch: Watch) -> type:
    """What any trainer must inherit first: our order of examples, our learning rate, checkpoints and curves."""
    budget = plan.budget

    class Ordered:
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return LikeLengths(lengths, budget.batch_size, child_seed(plan.seed, purpose + " order"))

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            mine: Any = self
            chosen = mine.optimizer if optimizer is None else optimizer
            mine.lr_scheduler = scheduler(budget, chosen, num_training_steps)
            return mine.lr_scheduler

        def log(self, logs: dict[str, float], *more: Any) -> None:
            trainer: Any = super()
            trainer.log({**logs, **(watch.values() if "loss" in logs else {})}, *more)

        def _save_checkpoint(self, *_: Any) -> None:
            if keeper is not None:
                keeper.save()

        def _load_from_checkpoint(self, *_: Any) -> None:
            """Comes too early: TRL may not have seen the reference yet."""

        def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
            if keeper is not None and checkpoint is not None:
                keeper.restore()

        def _load_rng_state(self, checkpoint: Any) -> None:
            if keeper is not None and checkpoint is not None:
                keeper.restore_draws()

    return Ordered


def _settings(plan: Fit, purpose: str, precision: str, examples: int, folder: Path) -> dict[str, Any]:
    """TrainingArguments by name."""
    budget = plan.budget
    steps = budget.epochs * max(examples // budget.batch_size, 1)
    return {
        "output_dir": str(folder),
        "num_train_epochs": budget.epochs,
        "per_device_train_batch_size": budget.batch_size // processes(),
        "learning_rate": budget.learning_rate,
        "weight_decay": budget.weight_decay,
        "max_grad_norm": budget.gradient_clip,
        "optim": "adamw_torch_fused",
        "logging_steps": min(LOG_EVERY, max(1, steps // 5)),
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        **curves.settings(plan),
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": plan.device.startswith("cuda"),
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,  # the first process's table of window vectors grows while it validates
        "use_cpu": plan.device == "cpu",
        "bf16": precision == "bf16",
        "seed": child_seed(plan.seed, purpose),
    }


def _plain(module: nn.Module, examples: Any, collate: Any) -> Build:
    def build(settings: Mapping[str, Any], callbacks: list[Any], ordered: type) -> Any:
        class Plain(ordered, Trainer):
            pass

        arguments = one_gpu(TrainingArguments(**settings))
        return Plain(model=module, args=arguments, train_dataset=examples, data_collator=collate, callbacks=callbacks)

    return build


def one_gpu(arguments: Any) -> Any:
    """TrainingArguments that use one GPU a process: DataParallel would multiply the batch, and TRL refuses it."""
    _ = arguments.device  # counts the GPUs
    arguments._n_gpu = min(arguments._n_gpu, 1)
    return arguments
