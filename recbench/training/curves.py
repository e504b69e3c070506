"""Curves of a training, for TensorBoard, Weights & Biases or MLflow, by transformers' own callbacks.

An interrupted training continues in a second file or run of the same folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recbench.errors import RecbenchError
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
    """Tell the callbacks by environment variables, the only way that they know, where to write; yours come first.

    Raises:
        RecbenchError: a tracker refuses (Weights & Biases without a key, say); names it.
    """
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
    yours = [tracker for tracker in plan.curves.to if _open(tracker) is not None]
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    except Exception as error:
        if (tracker := type(error).__module__.partition(".")[0]) in plan.curves.to:
            raise RecbenchError(f"train.report_to={tracker} failed: {error}") from error
        raise
    finally:
        for name in added:
            os.environ.pop(name, None)
        for tracker in plan.curves.to:
            if tracker not in yours and _open(tracker) is not None:
                _finish(tracker)


def _open(tracker: str) -> Any:
    """The run that a tracker has open in this process; None if there is none."""
    module = sys.modules.get(tracker)
    if module is None or tracker == "tensorboard":
        return None
    return module.run if tracker == "wandb" else module.active_run()


def _finish(tracker: str) -> None:
    """End what a training has opened, whatever ended it, or the next one of this process would continue that run."""
    module: Any = sys.modules[tracker]
    module.finish() if tracker == "wandb" else module.end_run()
