"""What a plan says of steps before any like them has been built."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from recbench.steps.graph import graph


@pytest.mark.parametrize(("decoder", "times"), [("exact", 1), ("hf_constrained_beam", 1), ("grounding", 20)])
def test_free_generation_is_estimated_to_take_longer(own: SimpleNamespace, decoder: str, times: float) -> None:
    beam, other = (
        graph(own.spec("bigrec", loss="msl", decoder=name), 1).ranked.pace() for name in ("constrained_beam", decoder)
    )
    assert other[0] != beam[0]  # measured seconds of one decoder say nothing of another
    assert other[1] * other[2] == pytest.approx(times * beam[1] * beam[2])


def test_preferences_are_estimated_to_take_longer_than_their_reference(own: SimpleNamespace) -> None:
    preferred = graph(own.spec("bigrec", loss="sdpo"), 1).steps["model"]
    assert preferred.pace()[2] == pytest.approx(25 * preferred.needs["reference"].pace()[2])
