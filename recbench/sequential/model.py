"""A sequence model on the bench's loop: what a method built on it overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from recbench.interfaces import Fit, FitReport, Resumable, ScoringBackbone, ScoringLoss
from recbench.sequential.options import TransformerOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from recbench.training.scores import ScoreBatch
    from recbench.types import Histories, Split

CHUNK = 4096  # cases encoded at a time


S = TypeVar("S", bound=TransformerOptions)


class SequenceModel(ScoringBackbone[S], Resumable):
    """A transformer over item embeddings; an item's score is its vector's product with the history's state.

    A method built on it overrides :meth:`prepare`, :meth:`embed`, :meth:`represent` or :meth:`terms`. Weights, order
    and dropout of the shared part come from the same generators whatever the method, so that a method whose own terms
    are switched off is SASRec, bit for bit: what it adds must be made in :meth:`prepare`, and draw nothing while off.
    """

    module: Any = None
    loss: ScoringLoss[Any] | None = None
    purpose = "sasrec"

    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Train with ``fit.loss`` on every training window."""
        import torch

        from recbench.seeds.everything import seed_everything
        from recbench.training.loop import fit as train

        seed_everything(fit.seed, f"{self.purpose} weights")
        self.build(split)
        self.loss = fit.loss
        self.prepare(split, fit)
        self.module.to(fit.device)
        columns = self.inputs(split.train.histories())
        columns |= {"target": torch.from_numpy(split.train.target).long(), "row": torch.arange(len(split.train))}

        def collate(rows: list[int]) -> dict[str, Any]:
            chosen = torch.tensor(rows)
            return {"batch": {name: column[chosen] for name, column in columns.items()}}

        rows: Any = range(len(split.train))
        parts: dict[str, Resumable] = {"model": self} if fit.loss is None else {"model": self, "loss": fit.loss}
        return train(self.module, rows, collate, fit, purpose=self.purpose, parts=parts)

    def checkpoint(self) -> Mapping[str, Any]:
        """The attributes that a training may change: all but functions, and module and loss, which the loop keeps."""
        found = super().checkpoint()
        return {n: v for n, v in found.items() if n not in ("module", "loss") and not callable(v)}

    # ---- what a method overrides ------------------------------------------------------------------------------

    def build(self, split: Split) -> None:
        """Make ``self.module``; the global generator is seeded."""
        from recbench.sequential.network import Causal, Network

        separate = getattr(self.options, "output", "tied") == "separate"
        settings = self.options.settings(split.train.history.shape[1])
        self.module = Network(Causal, settings, len(split.catalog), self.objective, separate)

    def prepare(self, split: Split, fit: Fit) -> None:
        """Take what the method needs from data and lessons, and add its own modules to ``self.module``."""

    def inputs(self, cases: Histories) -> dict[str, Tensor]:
        """What :meth:`states` reads, N rows each: ``items`` [N, H], from 1 and left-aligned, and ``lengths`` [N]."""
        items, lengths = left_aligned(cases)
        return {"items": items, "lengths": lengths}

    def embed(self, items: Tensor) -> Tensor:
        """[B, H, d] input embeddings."""
        return self.module.model.item_embedding(items)

    def states(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[B, d] what the model makes of each history."""
        items = batch["items"]
        return self.represent(self.module.model.encode(self.embed(items), items, batch["lengths"]), batch)

    def represent(self, states: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """[B, d] the users' representation, from the transformer's states."""
        return states

    def objective(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a training batch."""
        from recbench.training.devices import global_mean

        assert self.loss is not None, f"{type(self).__name__} is trained with a loss"
        scored = self.score_batch(batch)
        loss = global_mean(*self.loss(scored))
        for total, count in self.terms(scored, batch):
            loss = loss + global_mean(total, count)
        return loss

    def score_batch(self, batch: Mapping[str, Tensor]) -> ScoreBatch:
        """What the loss sees of a training batch."""
        from recbench.training.scores import ScoreBatch

        items, bias = self.module.catalogue()
        return ScoreBatch(self.states(batch), items, batch["target"], bias)

    def terms(self, scored: ScoreBatch, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor | float]]:
        """Terms that are added to the loss: sums and counts, as :meth:`recbench.interfaces.Loss.__call__`."""
        return []

    # ---- the trained model ------------------------------------------------------------------------------------

    def scores(self, cases: Histories) -> npt.NDArray[np.float32]:
        """[N, items] inner products."""
        import torch

        items, bias = self.module.catalogue()
        with torch.inference_mode():
            grid = torch.nn.functional.linear(self._encoded(cases), items, bias)
        return grid.float().cpu().numpy()

    def user_vectors(self, cases: Histories) -> npt.NDArray[np.float32]:
        """[N, d] last states."""
        return self._encoded(cases).float().cpu().numpy()

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """[items, d] what scores the items: the embedding table, or with ``output=separate`` the output matrix."""
        return self.module.catalogue()[0].detach().float().cpu().numpy()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state dict."""
        return {n: v.detach().cpu().numpy() for n, v in self.module.state_dict().items()}

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load a state dict."""
        import torch

        self.build(split)
        self.module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in state.items()})
        self.module.eval()

    def _encoded(self, cases: Histories) -> Tensor:
        import torch

        self.module.eval()
        device = next(self.module.parameters()).device
        columns = self.inputs(cases)
        with torch.inference_mode():
            return torch.cat(
                [
                    self.states({name: column[start : start + CHUNK].to(device) for name, column in columns.items()})
                    for start in range(0, len(cases), CHUNK)
                ]
            )


def left_aligned(cases: Histories) -> tuple[Tensor, Tensor]:
    """RecBole's layout: items from 1, oldest first at column 0, zeros behind; and the lengths."""
    import numpy as np
    import torch

    lengths = cases.history_length
    width = cases.history.shape[1]
    shift = (np.arange(width) + (width - lengths)[:, None]) % width
    items = np.take_along_axis(cases.history, shift, axis=1) + 1
    return torch.from_numpy(items).long(), torch.from_numpy(lengths).long()
