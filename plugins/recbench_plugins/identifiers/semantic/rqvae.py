"""An autoencoder with residual codes in its middle (TIGER section 3.1; Zeghidour et al., SoundStream, 2021)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recbench.seeds import child, child_seed
from recbench.seeds.everything import seed_everything

if TYPE_CHECKING:
    from recbench.interfaces import Fit

LAYERS, WIDTH = (512, 256, 128), 32
BATCH = 1024


class RQVAE(nn.Module):
    """Encoder, codebooks and decoder.

    Args:
        width: of the vectors.
        levels: codebooks.
        size: codes of each.
    """

    def __init__(self, width: int, levels: int, size: int) -> None:
        super().__init__()
        sizes = (width, *LAYERS, WIDTH)
        self.encoder, self.decoder = _layers(sizes), _layers(sizes[::-1])
        self.books = nn.Parameter(torch.zeros(levels, size, WIDTH))

    def quantised(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, levels] nearest codes of each level's residual; and for each level, its residual and its code."""
        left, codes, rests, taken = latent, [], [], []
        for book in self.books:
            code = torch.cdist(left, book).argmin(dim=1)
            codes.append(code)
            rests.append(left)
            taken.append(book[code])
            left = left - book[code]
        return torch.stack(codes, 1), torch.stack(rests, 1), torch.stack(taken, 1)

    def loss(self, vectors: Tensor, commitment: float) -> Tensor:
        """Squared error of the reconstruction, and the distances between residuals and codes, in both directions."""
        latent = self.encoder(vectors)
        _, rests, taken = self.quantised(latent)
        codebook = (rests.detach() - taken).square().sum(-1).sum(1).mean()
        encoder = (rests - taken.detach()).square().sum(-1).sum(1).mean()
        through = latent + (taken.sum(1) - latent).detach()  # gradients bypass the codes
        error = (self.decoder(through) - vectors).square().sum(-1).mean()
        return error + codebook + commitment * encoder


def _layers(sizes: tuple[int, ...]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def trained_codes(
    vectors: npt.NDArray[np.float32], levels: int, size: int, steps: int, commitment: float, fit: Fit
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """[items, levels] codes of a trained autoencoder, and vectors minus their reconstruction."""
    from recbench_plugins.identifiers.semantic import residual_kmeans

    seed_everything(fit.seed, "rqvae")
    model = RQVAE(vectors.shape[1], levels, size).to(fit.device)
    table = torch.from_numpy(vectors).to(fit.device)
    with torch.no_grad():  # codes begin where they are needed, not all in one place
        latent = model.encoder(table)
        seed = child_seed(fit.seed, "first codes")
        left = latent.cpu().numpy()
        for level in range(levels):
            codes, rest = residual_kmeans(left, 1, size, seed + level)
            centres = left - rest
            model.books[level, torch.from_numpy(codes[:, 0]).long()] = torch.from_numpy(centres).to(fit.device)
            left = rest
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-4)
    draws, order = child(fit.seed, "rqvae batches"), np.empty(0, np.int64)
    for step in range(steps):
        if len(order) < min(BATCH, len(table)):
            order = np.concatenate([order, draws.permutation(len(table))])
        rows, order = order[:BATCH], order[BATCH:]
        optimiser.zero_grad()
        loss = model.loss(table[torch.from_numpy(rows).to(fit.device)], commitment)
        loss.backward()
        optimiser.step()
        fit.reporter.advance(step + 1, steps, loss=float(loss.detach()))
    with torch.no_grad():
        found, _, taken = model.quantised(model.encoder(table))
        error = table - model.decoder(taken.sum(1))
    return found.cpu().numpy().astype(np.int32), error.cpu().numpy()
