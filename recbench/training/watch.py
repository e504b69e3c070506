"""Watches a training: reports it, keeps its best epoch, and ends it when a number is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback

from recbench.errors import Diverged
from recbench.interfaces import Fit, Score
from recbench.training.devices import same_everywhere
from recbench.training.schedule import early_stop, late_warmup


class Watch(TrainerCallback):
    """Called by transformers' Trainer at each event.

    Args:
        module: what is trained.
        plan: budget, validation and progress.
        on_step: called with (step, steps) before each step.
        watched: values to show next to the loss.

    Attributes:
        losses: (step, mean loss since the last one).
        lines: the course of the training, see :class:`recbench.interfaces.FitReport`.
        scores: each epoch's validation score, NaN without validation.
        best: the epoch to keep, from 1; 0 before the first ends.
        error: the standard error of its score; 0 if unknown.
    """

    def __init__(
        self,
        module: nn.Module,
        plan: Fit,
        on_step: Callable[[int, int], None] | None,
        watched: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        self.module, self.plan, self.on_step, self.watched = module, plan, on_step, watched
        self.losses: list[tuple[int, float]] = []
        self.lines: list[dict[str, float | None]] = []
        self.scores: list[float] = []
        self.tell: Callable[[dict[str, float]], None] = lambda values: None  # those who draw curves
        self.best, self.error = 0, 0.0
        self._kept: dict[str, torch.Tensor] = {}
        self._bad_step: torch.Tensor | None = None  # the first whose gradient is not finite; 0 for none

    def restore_best(self) -> None:
        """Give ``module`` the weights of the best epoch."""
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self._kept:
                    parameter.copy_(self._kept[name])

    def checkpoint(self) -> dict[str, Any]:
        """What a resumed training needs to know of its past."""
        plain = {"losses": self.losses, "lines": self.lines, "scores": [float(score) for score in self.scores]}
        return {**plain, "best": self.best, "error": self.error, "kept": self._kept}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`checkpoint` returned."""
        self.losses, self.scores, self._kept = state["losses"], state["scores"], state["kept"]
        self.lines, self.best, self.error = state["lines"], state["best"], state["error"]

    def values(self) -> dict[str, float]:
        """What the loss watches."""
        return dict(self.watched()) if self.watched else {}

    # ---- events -----------------------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say so where the warm-up never ends, or where the training may end too soon."""
        notes = [late_warmup(self.plan.budget, state.max_steps)]
        notes += [early_stop(self.plan.budget, state.max_steps)] if self.plan.validate is not None else []
        for said in filter(None, notes):
            self.plan.reporter.message(said)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let others prepare the step."""
        if self.on_step:
            self.on_step(state.global_step, state.max_steps)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the first step whose gradient is not finite, without waiting for a GPU (clipping keeps it so)."""
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.module.parameters() if p.grad is not None])
        if self._bad_step is None:
            self._bad_step = torch.zeros((), dtype=torch.long, device=norm.device)
        fresh = (self._bad_step == 0) & ~torch.isfinite(norm)
        self._bad_step = torch.where(fresh, state.global_step + 1, self._bad_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report progress; on the CPU a bad gradient ends the training at once."""
        if self._bad_step is not None and self._bad_step.device.type == "cpu":
            self._check_gradient(state)
        recent = {"loss": self.losses[-1][1]} if self.losses else {}
        recent |= self.values()
        self.plan.reporter.advance(state.global_step, state.max_steps, **recent)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Keep the loss; "train_loss" comes at the end, whatever the number of steps."""
        self._check_gradient(state)
        if logs and "loss" in logs:
            self.losses.append((state.global_step, float(logs["loss"])))
            self._line(state, loss=logs["loss"], learning_rate=logs["learning_rate"], **self.values())
        value = (logs or {}).get("loss", (logs or {}).get("train_loss", 0.0))
        if not math.isfinite(value):
            raise _diverged(f"The training loss is {value} at step {state.global_step}")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Validate, keep the best epoch, and stop where patience is at its end."""
        self.check(state)
        if self.plan.validate is None:  # nothing to choose by: the last epoch stays
            self.scores.append(float("nan"))
            self.best = len(self.scores)
            return
        self.module.eval()
        score = Score.of(same_everywhere(self.plan.validate))
        self.module.train()
        self.scores.append(score)
        self._line(state, validation=score, validation_error=score.error)
        told = {"eval_ndcg@10": float(score), "eval_ndcg@10_error": score.error}
        self.tell({name: value for name, value in told.items() if math.isfinite(value)})
        done, budget = len(self.scores), self.plan.budget
        self.plan.reporter.message(
            f"epoch {done} of {budget.epochs}: step {state.global_step}, "
            f"validation NDCG@10 {score:.4f}" + (f" ± {score.error:.4f}" if math.isfinite(score.error) else "")
        )
        if score > max(self.scores[:-1], default=float("-inf")):
            self.best, self.error = done, score.error if math.isfinite(score.error) else 0.0
            trained = ((n, p) for n, p in self.module.named_parameters() if p.requires_grad)
            self._kept = {n: p.detach().clone() for n, p in trained}
        if budget.patience and done - self.best >= budget.patience:
            control.should_training_stop = True
        if self.plan.after_epoch is not None:
            self.plan.after_epoch(self.scores)

    def _line(self, state: Any, **values: float) -> None:
        plain = {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
        self.lines.append({"step": state.global_step, "epoch": float(state.epoch), **plain})

    # ---- what must be finite ------------------------------------------------------------------------------------

    def check(self, state: Any) -> None:
        """Raise where a gradient or a weight is not finite: such a training is not worth a checkpoint.

        Raises:
            Diverged: names the step.
        """
        self._check_gradient(state)
        self._check_weights(state)

    def _check_gradient(self, state: Any) -> None:
        step = 0 if self._bad_step is None else int(self._bad_step)
        if step:
            raise _diverged(f"The gradient is not finite at step {step} of {state.max_steps}")

    def _check_weights(self, state: Any) -> None:
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad and not torch.isfinite(parameter).all():
                raise _diverged(f"The weights ({name}) are not finite after step {state.global_step}")


def _diverged(what: str) -> Diverged:
    return Diverged(f"{what}: lower train.learning_rate (or use llm.precision=fp32).")
