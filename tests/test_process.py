"""What a launch may not ask for is one sentence, before anything is computed."""

from __future__ import annotations

import pytest

from recbench import planning, process
from recbench.errors import UsageError
from recbench.spec.request import Request


@pytest.mark.parametrize(("variable", "flag"), process.SHARDING.items())
def test_a_sharded_launch_is_refused(variable: str, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "measured", lambda dataset: dataset)
    spec = planning.plan(Request(model="popularity", device="cpu")).spec
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UsageError, match=f"^accelerate launch {flag}: recbench does not shard a model"):
        process.begin(spec)
