"""The contract of preference losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench import registry
from recbench.interfaces import LossPlugin, PreferenceLoss
from recbench.testing.contract import Contract

if TYPE_CHECKING:
    import torch


class PreferenceLossTests(Contract):
    """A loss that compares chosen titles with rejected ones against a reference."""

    kind = "loss"
    signal = "text"

    @property
    def plugin(self) -> LossPlugin:
        """The descriptor."""
        return registry.get("loss", self.name)

    def value(self, chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        """[B] losses of a fresh instance."""
        loss: PreferenceLoss = self.make()
        found: torch.Tensor = loss(chosen, rejected)
        return found

    def draws(self, rows: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-ratios of chosen and rejected titles, in double precision."""
        import torch

        random = torch.Generator().manual_seed(5)
        chosen = torch.randn(rows, generator=random, dtype=torch.float64)
        return chosen, torch.randn(rows, self.make().negatives, generator=random, dtype=torch.float64)

    def test_names_what_tunes_the_reference(self) -> None:
        """``after`` is an installed loss for titles that needs no reference itself."""
        first = registry.get("loss", self.plugin.after)
        assert first.signal == "text"
        assert not first.after

    def test_one_loss_a_row(self) -> None:
        """[B] finite losses; a row's does not depend on the others."""
        import torch

        assert self.make().negatives >= 1
        chosen, rejected = self.draws()
        losses = self.value(chosen, rejected)
        assert losses.shape == (4,)
        assert torch.isfinite(losses).all()
        torch.testing.assert_close(self.value(chosen[1:2], rejected[1:2]), losses[1:2])

    def test_repeats(self) -> None:
        """The same ratios give the same bits: a loss on preferences draws nothing."""
        import torch

        chosen, rejected = self.draws()
        assert torch.equal(self.value(chosen, rejected), self.value(chosen, rejected))

    def test_prefers_the_chosen(self) -> None:
        """Never worse when the chosen title gains or all rejected ones lose, and better somewhere."""
        chosen, rejected = self.draws()
        before = self.value(chosen, rejected)
        for after in (self.value(chosen + 1, rejected), self.value(chosen, rejected - 1)):
            assert (after <= before).all()
            assert (after < before).any()

    def test_gradient_matches_finite_differences(self) -> None:
        """Central differences on every log-ratio."""
        import torch

        chosen, rejected = (t.requires_grad_() for t in self.draws())
        assert torch.autograd.gradcheck(lambda a, b: self.value(a, b).sum(), (chosen, rejected), eps=1e-6, atol=1e-4)

    def test_far_apart_stays_finite(self) -> None:
        """No overflow where policy and reference disagree by hundreds."""
        import torch

        chosen, rejected = self.draws()
        for scale in (300.0, -300.0):
            a, b = (chosen + scale).requires_grad_(), (rejected - scale).requires_grad_()
            losses = self.value(a, b)
            assert torch.isfinite(losses).all()
            gradients = torch.autograd.grad(losses.sum(), (a, b))
            assert all(torch.isfinite(g).all() for g in gradients)
