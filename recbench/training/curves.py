"""Curves of a training, for TensorBoard, Weights & Biases or MLflow, by transformers' own callbacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recbench.interfaces import Fit

PROJECT = "recbench"


def settings(plan: Fit) -> dict[str, Any]:
    """What TrainingArguments must say for the curves of a training; says where they go."""
    if plan.curves is None:
        return {"report_to": []}
    plan.reporter.message(f"curves for {', '.join(plan.curves.to)} go to {plan.curves.folder}")
    return {"report_to": list(plan.curves.to), "run_name": plan.curves.folder.name}


@contextmanager
def places(plan: Fit) -> Iterator[None]:
    """Tell the callbacks by environment variables, the only way that they know, where to write; yours come first."""
    if plan.curves is None:
        yield
        return
    folder = plan.curves.folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        "TENSORBOARD_LOGGING_DIR": str(folder),
        "WANDB_DIR": str(folder),
        "WANDB_PROJECT": PROJECT,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder.resolve() / 'mlflow.db'}",
        "MLFLOW_EXPERIMENT_NAME": PROJECT,
    }
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        if "wandb" in plan.curves.to and (wandb := sys.modules.get("wandb")) is not None and wandb.run is not None:
            wandb.finish()  # or the next training of this process would go on in the same run
