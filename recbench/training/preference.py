"""Preference tuning on TRL: each chosen title against several rejected ones, and a reference. The only user of TRL.

TRL 1.16's ``DPOTrainer`` knows one rejected answer for each chosen one. Overridden here are just the places where n of
them have to go: the data set (token ids already), the collator, the log-probabilities (the reference's are computed
once before training, since the reference is the policy as it starts) and the loss. The rest is TRL's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from recbench.errors import UsageError
from recbench.interfaces import Fit, FitReport, PreferenceLoss
from recbench.language.textmodel import TextModel
from recbench.seeds import child
from recbench.training.loop import fit, one_gpu
from recbench.types import PAD, Sequences


def prefer(model: TextModel, loss: PreferenceLoss[Any], windows: Sequences, plan: Fit, precision: str) -> FitReport:
    """Tune ``model``, which is its own reference as it stands, in place on preferences.

    Args:
        model: tuned already (S-DPO: by LML).
        loss: compares log-ratios.
        windows: whose targets are chosen; ``loss.negatives`` other items of each are rejected.
        plan: budget, seed, device, validation and progress.
        precision: fp32, or bf16 for autocast.
    """
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig

    model.trained_at = 1.0  # whatever its reference's was: preferences compare plain log-probabilities
    if model.collaborative is not None:
        model.collaborative.hybrid = True  # as the reference ended, and as at inference
    rejected = sample_rejected(windows, len(model.encoder.catalog), loss.negatives, plan.seed)
    prompts = model.encoder.prompts(windows.histories())
    answers = [[list(model.encoder.answers[int(i)]) for i in row] for row in np.c_[windows.target, rejected]]
    examples = Dataset.from_dict({"prompt_ids": prompts, "answer_ids": answers})
    pad = model.encoder.tokenizer.pad_token_id

    # TRL turns it on by default, under the name that transformers has for it
    named = "activation_checkpointing" in DPOConfig.__dataclass_fields__
    plain: dict[str, Any] = {"activation_checkpointing" if named else "gradient_checkpointing": False}

    def build(settings: Mapping[str, Any], callbacks: list[Any], base: type) -> Any:
        return _trainer(base, loss, plan, pad)(
            model=model.lm,
            args=one_gpu(DPOConfig(**settings, **plain, precompute_ref_log_probs=True, max_length=None)),
            train_dataset=examples,
            data_collator=collate(pad),
            processing_class=model.encoder.tokenizer,
            callbacks=callbacks,
        )

    return fit(
        model.lm,
        examples,
        collate(pad),
        plan,
        purpose="preference",
        precision=precision,
        lengths=[len(p) + max(map(len, a)) for p, a in zip(prompts, answers, strict=True)],
        build=build,
        parts={"loss": loss},
    )


def _trainer(base: type, loss: PreferenceLoss[Any], plan: Fit, pad: int) -> Any:
    """DPOTrainer for several rejected answers to each chosen one; ``base`` holds what any trainer of ours inherits."""
    from trl.trainer.dpo_trainer import DPOTrainer

    class Preference(base, DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # token ids already: a title is tokenised apart from its prompt

        def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
            plan.reporter.message("log-probabilities under the reference")
            self.model.to(plan.device).eval()  # dropout is off for good: TRL's disable_dropout
            found: list[list[float]] = []
            with torch.no_grad():
                for start in range(0, len(dataset), batch_size):
                    rows = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
                    batch = {k: v.to(plan.device) for k, v in collate(pad)(rows).items()}
                    with self.accelerator.autocast():
                        found += self._log_probabilities(self.model, batch).float().tolist()
            self.model.train()
            return dataset.add_column("ref_logps", found)

        def _log_probabilities(self, policy: Any, batch: Mapping[str, Tensor]) -> Tensor:
            """[B, 1 + n] log-probability of each answer, summed over its tokens."""
            labels = batch["labels"]
            # TRL's own head scores every position of the prompt too where there is no GPU
            logits = policy(
                **{name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")},
                use_cache=False,
                logits_to_keep=labels.shape[1] + 1,
            ).logits[:, :-1]
            losses = cross_entropy(logits.float().transpose(1, 2), labels, reduction="none")
            return -losses.sum(dim=1).view(-1, 1 + loss.negatives)

        def _compute_loss(self, policy: Any, inputs: Any, return_outputs: bool) -> Any:
            ratio = self._log_probabilities(policy, inputs) - inputs["ref_logps"]
            chosen, others = ratio[:, 0], ratio[:, 1:]
            margin = chosen - others.amax(dim=1)
            self._metrics["train"]["accuracy"].append((margin > 0).float().mean().item())
            return loss(chosen, others).mean()

    return Preference


def collate(pad: int) -> Any:
    """Examples to rows: each prompt with its chosen title, then with each rejected one.

    Prompts are padded on the left and titles on the right, so that all titles begin at one column and only the logits
    behind it are computed. Given ``prompt_ids``, ``answer_ids`` (chosen first) and maybe ``ref_logps``: ``input_ids``,
    ``attention_mask`` and ``position_ids`` [B (1 + n), T], ``labels`` [B (1 + n), longest title] with -100 behind each
    title's end, and ``ref_logps`` [B, 1 + n].
    """

    def batch(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        pairs = [(row["prompt_ids"], answer) for row in rows for answer in row["answer_ids"]]
        before, after = max(len(p) for p, _ in pairs), max(len(a) for _, a in pairs)
        ids = [[*[pad] * (before - len(p)), *p, *a, *[pad] * (after - len(a))] for p, a in pairs]
        real = [[0] * (before - len(p)) + [1] * (len(p) + len(a)) + [0] * (after - len(a)) for p, a in pairs]
        mask = torch.tensor(real)
        found = {
            "input_ids": torch.tensor(ids),
            "attention_mask": mask,
            "position_ids": (mask.cumsum(dim=1) - 1).clamp_min(0),
            "labels": torch.tensor([[*a, *[-100] * (after - len(a))] for _, a in pairs]),
        }
        if "ref_logps" in rows[0]:
            found["ref_logps"] = torch.tensor([row["ref_logps"] for row in rows])
        return found

    return batch


def sample_rejected(windows: Sequences, items: int, n: int, seed: int) -> npt.NDArray[np.int64]:
    """[N, n] distinct items, uniform over those that are neither the target nor in the history.

    Raises:
        UsageError: a window leaves fewer than ``n`` items.
    """
    draws = child(seed, "rejected items")
    found = np.empty((len(windows), n), np.int64)
    for row, (history, target) in enumerate(zip(windows.history, windows.target, strict=True)):
        taken = {int(target), *(int(i) for i in history if i != PAD)}
        if items - len(taken) < n:
            raise UsageError(f"loss.negatives={n} exceeds what the catalogue of {items} items leaves")
        chosen: list[int] = []
        while len(chosen) < n:
            item = int(draws.integers(items))
            if item not in taken:
                taken.add(item)
                chosen.append(item)
        found[row] = chosen
    return found
