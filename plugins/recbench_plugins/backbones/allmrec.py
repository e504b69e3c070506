"""A-LLMRec (the MSL paper's A-LLM): embeddings of a joint collaborative and textual space in the prompt.

Paper: Kim et al., "Large Language Models meet Collaborative Filtering: An Efficient All-round LLM-based Recommender
System", KDD 2024, https://doi.org/10.1145/3637528.3671931. Original code: github.com/ghdtjr/A-LLMRec.

Stage 1 (``learn``): two autoencoders, of the collaborative model's item embeddings and of the titles' text embeddings,
whose codes are drawn together. Stage 2: the user's vector, and after each title the item's code, each through its
projector, in the prompt of the language model.

Known differences, and the options that control them:

- The whole catalogue is ranked (the original picks from 20 candidates), so the prompt has no candidates. Its words are
  those of every backbone here (``llm.template``); the original continues after the user's token with "is a user
  representation. This user has watched".
- Text: the untuned language model's own embeddings of titles (mean of its last hidden states, scaled to length 1). The
  code embeds title *and description* with a sentence encoder (SBERT, not scaled), which stage 1 fine-tunes; ours stays
  frozen, and our data sets have no descriptions.
- The code initialises both projectors with Xavier's normal distribution; here they use torch's defaults.
- ``alignment_steps``: the code's 10 epochs over one window per user are many steps on its data, but only 230 on
  ml-100k, after which an item's two codes have little in common (tiny model: cosine .02; after 5,014 steps .30).
  Epochs are repeated until there are that many steps (0: the code's). The report shows the outcome: ``alignment``, the
  mean cosine of an item's two codes (over trained items, each dimension's mean taken off), and ``alignment_shuffled``,
  that of all pairs of different items.
- ``alignment=none`` leaves stage 1 out, as an ablation: the prompt then shows the item embeddings themselves.
- The collaborative model runs without dropout in both stages (the code leaves SASRec's on); Adam's second beta is 0.999
  (the code: 0.98).
- ``tune``: A-LLMRec freezes the language model, the MSL paper tunes it through LoRA; the tiny model, which starts at
  random, has to be trained.
- Codes are standardised before the projector (``vectors=raw`` as in the code): a sigmoid of small embeddings is nearly
  constant. With ``cold=text`` an item that never occurs in training uses its title's code; in the original, items
  always use their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from recbench.interfaces import USER, BackbonePlugin, Fit, FitReport, Options, Piece, TextBackbone, TrainOptions
from recbench.types import PAD

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from recbench.prompts.templates import Template
    from recbench.types import Histories, Sequences, Split

CODE = 128


class ALLMRecOptions(Options):
    """Options of ``--model allmrec``."""

    later = frozenset({"tune", "vectors"})  # stage 1 does not read them

    tune: Literal["auto", "frozen", "lora"] = Field(
        "auto",
        description="train only the projectors (frozen, A-LLMRec) or the language model too (lora, MSL paper); "
        "auto: frozen for a pretrained one, trained for the tiny one",
    )
    collaborative: str = Field("sasrec", description="the backbone whose item and user embeddings are shown")
    vectors: Literal["standardised", "raw"] = Field(
        "standardised", description="codes with mean 0 and deviation 1 in each dimension, or as they are"
    )
    cold: Literal["text", "collaborative"] = Field(
        "text",
        description="code of an item that never occurs in training: from its title, or from its item embedding",
    )
    alignment: Literal["last", "all", "none"] = Field(
        "last",
        description="training windows of stage 1: each user's last one (the code), or all; none leaves stage 1 out and "
        "shows the collaborative model's item embeddings",
    )
    alignment_epochs: int = Field(10, ge=1, description="minimum number of epochs of stage 1")
    alignment_steps: int = Field(
        5000,
        ge=0,
        description="minimum number of steps of stage 1: epochs are added to reach it; 0 keeps alignment_epochs",
    )
    alignment_rate: float = Field(1e-4, gt=0, description="learning rate of stage 1")
    alignment_batch: int = Field(32, ge=1, description="windows in a step of stage 1")


def alignment_loss(
    user: Tensor, cf: tuple[Tensor, Tensor], out: tuple[Tensor, Tensor], code: tuple[Tensor, Tensor],
    text: tuple[Tensor, Tensor], text_out: tuple[Tensor, Tensor], text_code: tuple[Tensor, Tensor],
) -> Tensor:  # fmt: skip
    """Stage 1's loss (Eq. 1 to 5 of the paper, as its code weights them).

    Args:
        user: [B, d] user vectors.
        cf, out, code: (positive, negative) item embeddings [B, d], their reconstruction, and their codes [B, 128].
        text, text_out, text_code: the same of the titles' embeddings [B, D].
    """
    from torch.nn import functional as f

    total = f.softplus(-(user * out[0]).mean(-1)).mean() + f.softplus((user * out[1]).mean(-1)).mean()
    for side in (0, 1):
        total = total + f.mse_loss(code[side], text_code[side])
        total = total + 0.5 * f.mse_loss(out[side], cf[side])
        total = total + 0.2 * f.mse_loss(text_out[side], text[side].detach())
    return total


def agreement(item: Tensor, text: Tensor) -> dict[str, float]:
    """How far stage 1 brought the two codes of an item together.

    Args:
        item, text: [n, 128] codes of the same n items.

    Returns:
        ``alignment``, the mean cosine of an item's two codes, each dimension's mean taken off; ``alignment_shuffled``,
        the same of all pairs of an item's code and another item's text code.
    """
    from torch.nn.functional import normalize

    item, text = (normalize(code - code.mean(0), dim=1) for code in (item, text))
    own, every = float((item * text).sum()), float(item.sum(0) @ text.sum(0))
    n = len(item)
    return {"alignment": own / n, "alignment_shuffled": (every - own) / max(n * (n - 1), 1)}


class ALLMRec(TextBackbone[ALLMRecOptions]):
    """A prompt of the user's vector and titles, each followed by its item's joint code."""

    codes: npt.NDArray[np.float32]

    targets = "all"

    def prompt(self, titles: Sequence[str], items: Sequence[int], template: Template) -> list[Piece]:
        """``[UserRep] title [HistoryEmb] ...``, oldest first."""
        pieces: list[Piece] = [USER]
        for place, (title, item) in enumerate(zip(titles, items, strict=True)):
            pieces += [template.between if place else template.before, title, " ", item]
        return [*pieces, template.after]

    def learn(self, split: Split, embed: Callable[[Sequence[str]], npt.NDArray[np.float32]], fit: Fit) -> FitReport:
        """Stage 1: align item embeddings and title embeddings; keeps one code an item.

        The report's ``watched`` has ``alignment`` and ``alignment_shuffled`` (:func:`agreement`).
        """
        import numpy as np
        import torch
        from torch.utils.data import TensorDataset

        from recbench.seeds.everything import seed_everything
        from recbench.training.loop import fit as train

        assert self.collaborative is not None
        options = self.options
        cf = torch.from_numpy(np.array(self.collaborative.item_vectors()))
        if options.alignment == "none":
            self.codes = cf.numpy()
            return FitReport()
        text = torch.from_numpy(embed(split.catalog.titles))
        windows = split.train
        if options.alignment == "last":
            _, last = np.unique(windows.users[::-1], return_index=True)
            windows = windows.take(np.sort(len(windows) - 1 - last))
        users = torch.from_numpy(np.array(self.collaborative.user_vectors(windows.histories())))
        owners, positive = (torch.from_numpy(column.astype(np.int64)) for column in (windows.users, windows.target))
        data = TensorDataset(users, owners, positive)
        seed_everything(fit.seed, "allmrec weights")
        module = _alignment(cf, text, _had(split.train, len(cf))).to(fit.device)

        def collate(rows: list[Any]) -> dict[str, Any]:
            columns = [torch.stack(column) for column in zip(*rows, strict=True)]
            return dict(zip(("users", "owners", "positive"), columns, strict=True))

        size = min(options.alignment_batch, len(data))
        budget = TrainOptions(
            epochs=max(options.alignment_epochs, math.ceil(options.alignment_steps / (len(data) // size))),
            batch_size=size,
            learning_rate=options.alignment_rate,
            schedule="constant",
            gradient_clip=0.0,
        )
        plan = replace(fit, train=budget, validate=None)
        report = train(module, data, collate, plan, purpose="allmrec alignment", parts={})
        warm = torch.from_numpy(split.warm_items())
        with torch.inference_mode():
            codes, titles = module.item_in(module.cf).sigmoid().cpu(), module.text_in(module.text).sigmoid().cpu()
        found = agreement(codes[warm], titles[warm])
        fit.reporter.message(
            f"A-LLMRec's first stage, {report.steps:,} steps: the cosine of an item's two codes is "
            f"{found['alignment']:.2f}, that of two items' {found['alignment_shuffled']:.2f}"
        )
        if options.cold == "text":
            codes = torch.where(warm[:, None], codes, titles)
        self.codes = codes.float().numpy()
        return replace(report, watched=found)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What is shown of the items."""
        return {"codes": self.codes}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the codes."""
        self.codes = state["codes"]

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """[items, 128] joint codes; with ``alignment=none`` [items, d] item embeddings."""
        if self.options.vectors == "raw":
            return self.codes
        spread = self.codes.std(axis=0) + 1e-8
        return ((self.codes - self.codes.mean(axis=0)) / spread).astype("float32")

    def projector(self, width_in: int, width_out: int) -> nn.Module:
        """Linear, LayerNorm, GELU, Linear."""
        from torch import nn

        return nn.Sequential(
            nn.Linear(width_in, width_out), nn.LayerNorm(width_out), nn.GELU(), nn.Linear(width_out, width_out)
        )

    def case_vectors(self, cases: Histories) -> npt.NDArray[np.float32]:
        """[N, d] what the collaborative model makes of each history."""
        assert self.collaborative is not None
        return self.collaborative.user_vectors(cases)

    def case_projector(self, width_in: int, width_out: int) -> nn.Module:
        """Linear, LayerNorm, LeakyReLU, Linear."""
        from torch import nn

        return nn.Sequential(
            nn.Linear(width_in, width_out), nn.LayerNorm(width_out), nn.LeakyReLU(), nn.Linear(width_out, width_out)
        )

    def tunes_language_model(self, pretrained: bool) -> bool:
        """As ``tune`` says."""
        return self.options.tune == "lora" or (self.options.tune == "auto" and not pretrained)


def _had(windows: Sequences, items: int) -> Tensor:
    """The distinct items of each user's training windows, as sorted numbers ``user * items + item``."""
    import numpy as np
    import torch

    history = windows.history
    owners = np.repeat(windows.users.astype(np.int64), history.shape[1])[history.ravel() != PAD]
    pairs = [owners * items + history[history != PAD], windows.users.astype(np.int64) * items + windows.target]
    return torch.from_numpy(np.unique(np.concatenate(pairs)))


def unseen(had: Tensor, users: Tensor, items: int) -> Tensor:
    """[B] an item for each user, each of those that are not among the user's training items equally likely.

    Args:
        had: what :func:`_had` returns.
        users: [B] their numbers.
        items: size of the catalogue. A user who has all of it gets any of its items.
    """
    import torch

    from recbench.training.devices import own_uniform

    first, end = (torch.searchsorted(had, (users + more) * items) for more in (0, 1))
    free = items - (end - first)
    rank = (own_uniform(len(users), users.device) * torch.where(free > 0, free, items)).long()
    # had[j] - users * items - (j - first) free items come before the user's j-th own one; count those that rank passes
    low, high = first, torch.where(free > 0, end, first)
    while bool((low < high).any()):
        middle = (low + high) // 2
        before = had[middle.clamp(max=len(had) - 1)] - users * items - (middle - first)
        passed = (low < high) & (before <= rank)
        low, high = torch.where(passed, middle + 1, low), torch.where(passed, high, torch.minimum(high, middle))
    return rank + low - first


def _alignment(cf: Tensor, text: Tensor, had: Tensor) -> Any:
    from torch import nn

    class Alignment(nn.Module):
        """Two autoencoders behind ``forward(**batch) -> {"loss"}``."""

        cf: Tensor
        text: Tensor
        had: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.item_in, self.item_out = nn.Linear(cf.shape[1], CODE), nn.Linear(CODE, cf.shape[1])
            self.text_in, self.text_out = nn.Linear(text.shape[1], CODE), nn.Linear(CODE, text.shape[1])
            self.register_buffer("cf", cf)
            self.register_buffer("text", text)
            self.register_buffer("had", had)

        def forward(self, users: Tensor, owners: Tensor, positive: Tensor) -> dict[str, Tensor]:
            negative = unseen(self.had, owners, len(self.cf))
            pairs = [(self.cf[i], self.text[i]) for i in (positive, negative)]
            code = [(self.item_in(c).sigmoid(), self.text_in(t).sigmoid()) for c, t in pairs]
            loss = alignment_loss(
                users,
                (pairs[0][0], pairs[1][0]),
                (self.item_out(code[0][0]), self.item_out(code[1][0])),
                (code[0][0], code[1][0]),
                (pairs[0][1], pairs[1][1]),
                (self.text_out(code[0][1]), self.text_out(code[1][1])),
                (code[0][1], code[1][1]),
            )
            return {"loss": loss}

    return Alignment()


plugin = BackbonePlugin(
    implementation=ALLMRec,
    summary="titles, joint collaborative and text embeddings of items, and an embedding of the user",
    options=ALLMRecOptions,
    default_loss="lml",
    default_decoder="constrained_beam",
    requires={"collaborative": "sasrec"},
    learns=True,
    paper="Kim et al., A-LLMRec, KDD 2024. https://doi.org/10.1145/3637528.3671931",
)
