"""Checkpoints during training: on a CPU, a resumed training gives the uninterrupted result, bit for bit.

One file holds everything: what is trained, the optimiser, the learning rate, the random generators, how far the epoch
is, what validation has said so far with the best weights, and the state of the loss. transformers' Trainer says when to
write and skips the batches that were seen; its own files would hold the frozen language model too.
"""

from __future__ import annotations

import dataclasses
import io
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback

from recbench.errors import RecbenchError, Stopped
from recbench.files import writing
from recbench.interfaces import Checkpoints, Fit, Resumable
from recbench.seeds.everything import generators, restore_generators
from recbench.signals import Signals
from recbench.training.devices import process, processes, sum_over_devices
from recbench.training.plain import Unplain, packed, unpacked
from recbench.training.watch import Watch

FORMAT = 2
_KEYS = {"format", "step", "purpose", "trained", "optimizer", "scheduler", "state", "over", "logged", "seconds", "own"}


class Keeper(TrainerCallback):
    """Writes checkpoints of a training, and continues from one.

    Args:
        place: where, and how often.
        module: what is trained.
        plan: reporter and device.
        purpose: of the training; part of what a checkpoint must have been made for.
        watch: its scores, losses and best weights are kept.
        parts: what else training changes, by name.

    Attributes:
        signals: ask for a checkpoint, and for the end.
        found: the checkpoint to continue from, as it was read; None for a training that begins.
    """

    def __init__(
        self,
        place: Checkpoints,
        module: nn.Module,
        plan: Fit,
        purpose: str,
        watch: Watch,
        parts: Mapping[str, Resumable],
    ) -> None:
        self.place, self.module, self.plan, self.purpose, self.parts = place, module, plan, purpose, parts
        self.watch = watch
        self.file = place.folder / f"{place.begun}.pt"
        place.begun += 1
        self.trainer: Any = None
        self.before, self.begun = 0.0, time.perf_counter()
        self._last = time.monotonic()
        self.signals = Signals()
        self._stopping = self._over = self._told = False
        self.found = self._read()

    # ---- when -----------------------------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Trainer has just set to zero what it had added up since the last logged loss."""
        self._last = time.monotonic()
        if self.found is not None:
            self.trainer._tr_loss = self.found["own"][process()]["loss"].to(args.device)
            self.trainer._globalstep_last_logged = self.found["logged"]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint where it is time; an epoch's last step is validated first."""
        if state.global_step % (state.max_steps // int(args.num_train_epochs)):
            control.should_save = self._wanted()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """As after a step; a training that is over is kept only for a signal."""
        self._over = control.should_training_stop or state.global_step >= state.max_steps
        control.should_save = self._wanted() and (self._stopping or not self._over)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End where a signal asked for it."""
        if self._stopping:
            raise Stopped(
                f"stopped at step {state.global_step:,} of {state.max_steps:,}: run the same command again to continue."
            )

    def _wanted(self) -> bool:
        """Whether every process writes a checkpoint now: it is time by the first one's clock, or one got a signal."""
        due = process() == 0 and time.monotonic() - self._last >= 60 * self.place.minutes
        if processes() == 1:
            self._stopping = self.signals.noted
        else:
            votes = torch.tensor([float(self.signals.noted), float(due)], device=self.trainer.args.device)
            stopping, due = (bool(vote) for vote in sum_over_devices(votes).tolist())
            self._stopping = stopping
        return self._stopping or due

    # ---- writing --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint; a disk that refuses does not end the training, unless a signal does anyway."""
        trainer = self.trainer
        self.watch.check(trainer.state)
        content = {
            "format": FORMAT,
            "step": self.place.folder.name,
            "purpose": self.purpose,
            "trained": {name: tensor.detach() for name, tensor in _trained(self.module).items()},
            "optimizer": trainer.optimizer.state_dict(),
            "scheduler": trainer.lr_scheduler.state_dict(),
            "state": json.dumps({**dataclasses.asdict(trainer.state), "log_history": []}),
            "over": self._over,
            "logged": trainer._globalstep_last_logged,
            "seconds": self.before + time.perf_counter() - self.begun,
            "own": _of_all_processes(self._own()),
        }
        try:
            if process() == 0:
                with writing(self.file) as file:
                    torch.save(content, file)
        except (RecbenchError, RuntimeError) as error:  # torch's own writer has no other word for a full disk
            if self._stopping:
                raise RecbenchError(
                    f"stopped at step {trainer.state.global_step} without a checkpoint: {error}"
                ) from error
            if not self._told:
                self.plan.reporter.message(f"no checkpoint was written, but training continues: {error}")
            self._told = True
        self._last = time.monotonic()

    def possible(self) -> bool:
        """Whether everything that training changes can be kept; says so where it cannot."""
        try:
            self._parts()
        except Unplain as error:
            self.plan.reporter.message(
                f"this training writes no checkpoints and starts over if it is interrupted: {error}, which a "
                "checkpoint cannot hold"
            )
            return False
        return True

    def _parts(self) -> dict[str, Any]:
        return {name: packed(dict(part.checkpoint()), name) for name, part in self.parts.items()}

    def _own(self) -> dict[str, Any]:
        """What each process has for itself; Trainer adds up the loss of its own rows since the last logged one."""
        kept = {"parts": self._parts(), "watch": packed(dict(self.watch.checkpoint()), "watch")}
        return {**kept, "draws": generators(), "loss": self.trainer._tr_loss.detach().cpu()}

    # ---- going on -------------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any] | None:
        """The checkpoint, if there is one and it is this training's."""
        problem, found = "", None
        try:
            found = read(self.file)
        except FileNotFoundError:
            pass
        except Exception as error:  # a damaged file may raise anything
            problem = f"it is damaged ({type(error).__name__})"
        else:
            problem = self._objection(found)
        if problem:
            self.plan.reporter.message(f"the checkpoint {self.file} is ignored: {problem}")
        usable = found is not None and not problem
        if processes() > 1:  # all of them or none
            device = "cuda" if self.plan.device.startswith("cuda") else "cpu"
            usable = float(sum_over_devices(torch.tensor(float(usable), device=device))) == processes()
        return found if usable else None

    def _objection(self, found: Any) -> str:
        """Why a readable file is not a checkpoint of this training; empty if it is."""
        if not isinstance(found, dict) or found.keys() != _KEYS or found["format"] != FORMAT:
            return "another version of recbench wrote it"
        if (found["step"], found["purpose"]) != (self.place.folder.name, self.purpose):
            return "it belongs to another step"
        shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in _trained(self.module).items()}
        now = generators()
        try:
            if {name: (tensor.shape, tensor.dtype) for name, tensor in found["trained"].items()} != shapes:
                return "it is another model's"
            if len(found["own"]) != processes():
                return "it is of another number of processes"
            state = json.loads(found["state"])
            if not all(
                isinstance(n, int | float) for n in (found["seconds"], state["global_step"], state["max_steps"])
            ):
                raise TypeError("a number is something else")
            restore_generators(found["own"][process()]["draws"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            return f"its content is not what its labels say ({type(error).__name__})"
        finally:
            restore_generators(now)
        return ""

    def prepare(self, scratch: Path) -> str | None:
        """The folder that Trainer resumes from, which holds how far it was; None for a training that begins."""
        if self.found is None:
            return None
        self.before = float(self.found["seconds"])
        state = json.loads(self.found["state"])
        self.plan.reporter.message(f"continuing after step {state['global_step']:,} of {state['max_steps']:,}")
        (scratch / "trainer_state.json").write_text(self.found["state"])
        return str(scratch)

    @property
    def over(self) -> int:
        """The steps of a training that a signal stopped when nothing was left to train; else 0."""
        return int(json.loads(self.found["state"])["global_step"]) if self.found and self.found["over"] else 0

    def restore(self) -> None:
        """Give module, watch and parts what the checkpoint holds, and the optimiser and its schedule if there are any.

        Raises:
            RecbenchError: the content is not what its labels say; the file is removed.
        """
        assert self.found is not None
        own = self.found["own"][process()]
        try:
            with torch.no_grad():
                for name, tensor in _trained(self.module).items():
                    tensor.copy_(self.found["trained"][name])
            self.watch.resume(unpacked(own["watch"]))
            for name, part in self.parts.items():
                part.resume(unpacked(own["parts"][name]))
            if not self.over:
                self.trainer.optimizer.load_state_dict(self.found["optimizer"])
                self.trainer.lr_scheduler.load_state_dict(self.found["scheduler"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            self.file.unlink(missing_ok=True)
            raise RecbenchError(
                f"the checkpoint {self.file} cannot be used ({type(error).__name__}) and is removed: run again."
            ) from error

    def restore_draws(self) -> None:
        """Set the global generators."""
        assert self.found is not None
        restore_generators(self.found["own"][process()]["draws"])


def read(path: Path) -> Any:
    """What a checkpoint's file holds.

    Raises:
        Exception: it is missing or damaged, or holds something that is not a plain value.
    """
    if path.exists() and not path.is_file():  # opening a pipe would wait for a writer
        raise ValueError("it is not a regular file")
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"{name} is damaged")
    return torch.load(path, map_location="cpu", weights_only=True)


def _trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """What training changes of a module: parameters that are not frozen, and buffers that its state has."""
    state = module.state_dict().keys()
    found = {name: p for name, p in module.named_parameters() if p.requires_grad}
    return found | {name: buffer for name, buffer in module.named_buffers() if name in state}


def _of_all_processes(own: dict[str, Any]) -> list[dict[str, Any]]:
    if processes() == 1:
        return [own]
    file, found = io.BytesIO(), [b""] * processes()
    torch.save(own, file)  # as bytes: tensors inside an object cannot be gathered
    torch.distributed.all_gather_object(found, file.getvalue())
    return [torch.load(io.BytesIO(one), weights_only=True) for one in found]
