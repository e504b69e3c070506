"""Train a module for some epochs, keep the one that validation likes best. transformers.Trainer does the work."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, Sampler

from recbench.errors import RecbenchError
from recbench.interfaces import Fit, FitReport
from recbench.seeds import child_seed, seed_everything

Build = Callable[[Mapping[str, Any], list[Any], type], Any]
LOG_EVERY = 20  # steps between two kept values of the loss


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
        watched: values to show beside the loss, and to keep at the end (MSL's temperature).
        build: makes the trainer from its settings, callbacks and the bases it must have; transformers' own by default.

    Raises:
        RecbenchError: the loss became infinite or not a number; names the step.
    """
    from transformers import Trainer, TrainerCallback, TrainingArguments, get_scheduler

    budget = plan.train
    processes = torch.distributed.get_world_size() if _distributed() else 1
    if processes > 1 and len(examples) < budget.batch_size:  # type: ignore[arg-type]
        raise RecbenchError(f"{processes} processes need at least one whole batch of {budget.batch_size} windows.")
    if budget.batch_size % processes:
        raise RecbenchError(f"train.batch_size={budget.batch_size} cannot be shared evenly by {processes} processes.")
    losses: list[tuple[int, float]] = []
    scores: list[float] = []
    best: dict[str, torch.Tensor] = {}
    kept = [0]

    class Watch(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            warmup = budget.warmup_steps + math.ceil(budget.warmup_share * state.max_steps)
            if budget.schedule != "llara" and warmup >= state.max_steps:
                plan.reporter.message(
                    f"the warm-up of {warmup} steps is as long as the training ({state.max_steps} steps): "
                    "the learning rate never reaches its largest value"
                )

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if on_step:
                on_step(state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            recent = {"loss": losses[-1][1]} if losses else {}
            recent |= watched() if watched else {}
            plan.reporter.advance(state.global_step, state.max_steps, **recent)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if logs and "loss" in logs:
                losses.append((state.global_step, float(logs["loss"])))
            # "train_loss" comes at the end, whatever the number of steps
            value = (logs or {}).get("loss", (logs or {}).get("train_loss", 0.0))
            if not math.isfinite(value):
                raise RecbenchError(
                    f"The training loss is {value} at step {state.global_step}: lower train.learning_rate "
                    "(or use llm.precision=fp32)."
                )

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            module.eval()
            if plan.validate is None:  # nothing to choose by: the last epoch stays
                module.train()
                scores.append(float("nan"))
                kept[0] = len(scores)
                return
            score = _same_everywhere(plan.validate)
            module.train()
            scores.append(score)
            done = len(scores)
            plan.reporter.message(
                f"epoch {done} of {budget.epochs}: step {state.global_step}, validation NDCG@10 {score:.4f}"
            )
            if score > max(scores[:-1], default=float("-inf")):
                kept[0] = done
                best.clear()
                best.update({n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad})
            if budget.patience and done - kept[0] >= budget.patience:
                control.should_training_stop = True

    class Ordered:
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            order = child_seed(plan.seed, purpose + " order")
            return LikeLengths(lengths or [1] * len(examples), budget.batch_size, order)  # type: ignore[arg-type]

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            mine: Any = self
            optimizer = mine.optimizer if optimizer is None else optimizer
            warmup = budget.warmup_steps + math.ceil(budget.warmup_share * num_training_steps)
            if budget.schedule == "llara":
                rate = llara_schedule(num_training_steps)
                mine.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
            else:
                # transformers' plain "constant" ignores the warm-up
                name = "constant_with_warmup" if budget.schedule == "constant" else budget.schedule
                mine.lr_scheduler = get_scheduler(name, optimizer, warmup, num_training_steps)
            return mine.lr_scheduler

    def plain(settings: Mapping[str, Any], callbacks: list[Any], base: type) -> Any:
        class Plain(base, Trainer):
            pass

        return Plain(
            model=module,
            args=one_gpu(TrainingArguments(**settings)),
            train_dataset=examples,
            data_collator=collate,
            callbacks=callbacks,
        )

    seed_everything(plan.seed, purpose)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recbench-") as scratch:
        settings = {
            "output_dir": scratch,
            "num_train_epochs": budget.epochs,
            "per_device_train_batch_size": budget.batch_size // processes,
            "learning_rate": budget.learning_rate,
            "weight_decay": budget.weight_decay,
            "max_grad_norm": budget.gradient_clip,
            "optim": "adamw_torch_fused",
            "logging_steps": LOG_EVERY,
            "logging_nan_inf_filter": False,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "dataloader_pin_memory": plan.device.startswith("cuda"),
            "ddp_find_unused_parameters": False,
            "ddp_broadcast_buffers": False,  # the first process's table of window vectors grows while it validates
            "use_cpu": plan.device == "cpu",
            "bf16": precision == "bf16",
            "seed": child_seed(plan.seed, purpose),
        }
        trainer = (build or plain)(settings, [Watch()], Ordered)
        _silence(trainer)
        trainer.train()
        trainer.accelerator.unwrap_model(module, keep_fp32_wrapper=False)  # or its forward stays in autocast
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in best:
                parameter.copy_(best[name])
    module.eval()
    return FitReport(
        steps=trainer.state.global_step,
        epochs=len(scores),
        best_epoch=kept[0],
        validation=() if plan.validate is None else tuple(scores),
        losses=tuple(losses),
        seconds=time.perf_counter() - started,
        watched=dict(watched()) if watched else {},
    )


def one_gpu(arguments: Any) -> Any:
    """TrainingArguments that use one GPU a process: DataParallel would multiply the batch, and TRL refuses it."""
    _ = arguments.device  # counts the GPUs
    arguments._n_gpu = min(arguments._n_gpu, 1)
    return arguments


def llara_schedule(steps: int) -> Callable[[int], float]:
    """LLaRA's learning rate as a share of its largest value, by step (its ``LinearWarmupCosineLRScheduler``).

    From a hundredth it rises over a twentieth of the steps; then it follows the cosine over *all* steps down to a
    hundredth.
    """
    warmup, low = steps // 20, 0.01

    def rate(step: int) -> float:
        if step < warmup:
            return low + (1 - low) * step / warmup
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * step / steps))

    return rate


class LikeLengths(Sampler[int]):
    """A new random order each epoch in which examples of like length stand together.

    Blocks of fifty batches are drawn at random and sorted by length inside, then the batches of a block are shuffled:
    less padding, almost the same mixing. Batches are of the *global* size, so that several processes see what one does;
    the few examples that fill no batch sit an epoch out, since accelerate would fill it up with repeats for several
    processes only. Fewer examples than a batch are one batch.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = np.asarray(lengths), batch, seed, 0

    def __len__(self) -> int:
        return len(self.lengths) // self.batch * self.batch or len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        order = draw.permutation(len(self.lengths))[: len(self)]
        for start in range(0, len(order), 50 * self.batch):
            block = order[start : start + 50 * self.batch]
            block = block[np.argsort(self.lengths[block], kind="stable")]
            batches = [block[i : i + self.batch] for i in range(0, len(block), self.batch)]
            for i in draw.permutation(len(batches)):
                yield from batches[i].tolist()


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _same_everywhere(validate: Callable[[], float]) -> float:
    """The first process's validation score on every process: one decides, or replicas would stop apart."""
    if not _distributed():
        return validate()
    box = [validate() if torch.distributed.get_rank() == 0 else 0.0]
    torch.distributed.broadcast_object_list(box)
    return float(box[0])


def _silence(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # it prints every log as a dict; the reporter shows progress
    logging.getLogger("transformers.trainer").setLevel(logging.WARNING)
