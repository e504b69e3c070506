"""The row next to each enhanced method that is the method without its idea, bit for bit, with its own sizes."""

from __future__ import annotations

import numpy as np
import pytest

from recbench import registry
from recbench.interfaces import SilentReporter
from recbench.testing import TinyTeacher, tiny_split

DROS_SIZES = {"layers": 1, "heads": 1, "inner": 64, "dropout": 0.1, "attention_dropout": 0.1, "output": "separate"}
LLMCF_SIZES = {"layers": 1, "inner": 64, "dropout": 0.2, "attention_dropout": 0.2}
CONTROLS = [
    ("dros", "bce", {"alpha": 0}, "sasrec", DROS_SIZES),
    ("dllm2rec", "bce", {"ed_weight": 0, "lam": 0}, "dros", {"alpha": 0.5}),
    ("dllm2rec", "bce", {"ed_weight": 0, "lam": 0, "alpha": 0}, "sasrec", DROS_SIZES),
    ("llmcf", "ce", {"weight": 0, "rec_weight": 0}, "sasrec", LLMCF_SIZES),
]


@pytest.mark.parametrize(("method", "loss", "off", "control", "sizes"), CONTROLS)
def test_a_control_is_the_method_without_its_idea(trained, method, loss, off, control, sizes) -> None:
    """The control has no teacher: nothing that the method learned from one may reach it."""
    plugin, split = registry.get("backbone", method), tiny_split()
    assert plugin.default_loss == loss
    lessons = {}
    if "teacher" in plugin.requires:
        writing = {"share": 0.1, "tokens": 2} if method == "llmcf" else {"windows": 10}
        model = plugin.implementation(plugin.options(**writing))
        lessons = model.lessons(split, TinyTeacher(split), 3, SilentReporter()).arrays
    cases = split.test.histories()
    plain = trained(control, loss, **sizes).scores(cases)
    assert np.array_equal(trained(method, loss, lessons, **off).scores(cases), plain)
    assert not np.array_equal(
        trained(method, loss, lessons, **({"alpha": 0.1} if method == "dros" else {})).scores(cases), plain
    )
