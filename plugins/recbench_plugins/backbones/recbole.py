"""Any sequential model of RecBole, trained by the bench's loop on the bench's windows.

Paper: Zhao et al., "RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation Algorithms",
CIKM 2021, https://doi.org/10.1145/3459637.3482016; each model's own is named in its class. Implementation: RecBole
1.2.1, ``recbole.model.sequential_recommender``, its published settings (``recbole/properties/model/<model>.yaml``).

Known differences: RecBole's trainer, configuration and evaluator are not used. Loss and scores are the model's own, so
that, unlike with ``sasrec`` and ``bert4rec``, no ``--loss`` applies, and the padding item takes part in the softmax.
The epoch is chosen on validation NDCG@10. A user without training windows gets the mean of the trained users' rows;
RecBole has no such users. The negative of a pairwise loss is any item but the target; RecBole excludes the user's own
items. SHAN ranks from right-aligned histories, as it trains; RecBole's ``full_sort_predict`` takes the padding for the
last items. SASRec and BERT4Rec are separate backbones, which use recbench's losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from recbench.documents import load_yaml
from recbench.errors import did_you_mean
from recbench.interfaces import BackbonePlugin, Fit, Options
from recbench.sequential import SequenceModel, left_aligned

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from recbench.types import Histories, Split

FITS = (
    "Caser", "CORE", "FOSSIL", "FPMC", "GCSAN", "GRU4Rec", "GRU4RecCPR", "HGN", "HRM", "LightSANs", "NARM",
    "NextItNet", "NPE", "RepeatNet", "SASRecCPR", "SHAN", "SINE", "SRGNN", "STAMP", "TransRec",
)  # fmt: skip
"""The models that windows of items and users can feed."""
_FEATURES = "it needs features of the items beyond their titles"
_GRAPH = "it needs embeddings of a knowledge graph"
REFUSED = {
    "SASRec": "it is a separate backbone: --model sasrec",
    "BERT4Rec": "it is a separate backbone: --model bert4rec",
    "DIN": "it scores one item at a time from features and labels of clicks",
    "DIEN": "it scores one item at a time from features and labels of clicks",
    "FDSA": _FEATURES,
    "GRU4RecF": _FEATURES,
    "SASRecF": _FEATURES,
    "S3Rec": _FEATURES,
    "GRU4RecKG": _GRAPH,
    "KSR": _GRAPH,
    "FEARec": "its contrastive term looks up other training windows in a data set of RecBole's own",
}
"""Models of RecBole 1.2.1 that cannot be run by this name, and why."""


def _fitting(value: object) -> object:
    known = {name.lower(): name for name in (*FITS, *REFUSED)}
    name = known.get(str(value).lower())
    if name is None:
        raise ValueError(f"not a sequential model of RecBole; {did_you_mean(str(value), FITS)}")
    if name in REFUSED:
        raise ValueError(f"the bench cannot run {name}, since {REFUSED[name]}")
    return name


def published(model: str) -> dict[str, Any]:
    """RecBole's settings of a model, from the file that it ships."""
    folder = files("recbole") / "properties" / "model"
    place = next(path for path in folder.iterdir() if path.name.lower() == f"{model.lower()}.yaml")
    return dict(load_yaml(place.read_text("utf-8"), place.name).value)


class RecBoleOptions(Options):
    """Options of ``--model recbole``."""

    labelled = frozenset({"model"})

    model: Annotated[str, BeforeValidator(_fitting)] = Field(
        "GRU4Rec", description=f"which of RecBole's models: {', '.join(FITS)}"
    )
    settings: dict[str, Any] = Field(
        {},
        description="settings of that model under RecBole's names, such as {hidden_size: 128}; the others keep "
        "RecBole's values",
    )

    @model_validator(mode="after")
    def _known(self) -> RecBoleOptions:
        own = published(self.model) if self.settings else {}
        for name in self.settings:
            if name not in own:
                raise ValueError(f"{self.model} has no setting {name!r}; {did_you_mean(name, own)}")
        return self


class RecBole(SequenceModel[RecBoleOptions]):
    """A model of RecBole's: its class, its loss, its scores."""

    purpose = "recbole"

    def build(self, split: Split) -> None:
        """Make ``self.module``; the global generator is seeded."""
        import numpy as np

        self._build(split, np.unique(split.train.users))

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load a state dict; its users are those of the windows that it was trained on, which need not be all."""
        import torch

        self._build(split, state["known"])
        self.module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in state.items()})
        self.module.eval()

    def _build(self, split: Split, known: npt.NDArray[Any]) -> None:
        import torch

        from recbench.sequential.recbole import RecBoleModule

        users = torch.from_numpy(known.copy()).long()
        settings = published(self.options.model) | self.options.settings
        longest = split.train.history.shape[1]
        self.module = RecBoleModule(self.options.model, settings, users, len(split.catalog), longest)

    def prepare(self, split: Split, fit: Fit) -> None:
        """Tell the model where it computes."""
        self.module.place(fit.device)

    def inputs(self, cases: Histories) -> dict[str, Tensor]:
        """``user`` [N], ``items`` [N, H] from 1 and left-aligned, ``lengths`` [N]."""
        import torch

        items, lengths = left_aligned(cases)
        return {"user": torch.from_numpy(cases.users).long(), "items": items, "lengths": lengths}

    def states(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[B, items] scores: models encode histories in different ways."""
        return self.module.score(batch)

    def scores(self, cases: Histories) -> npt.NDArray[np.float32]:
        """[N, items] the model's scores."""
        return self._encoded(cases).float().cpu().numpy()

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """[items, d] the embeddings of the items in a history."""
        table = getattr(self.module.model, "item_embedding", None)
        if table is None:
            raise NotImplementedError(f"{self.options.model} has no item embeddings")
        return table.weight[1 : self.module.items + 1].detach().float().cpu().numpy()

    def user_vectors(self, cases: Histories) -> npt.NDArray[np.float32]:
        """Always refuses: RecBole's models have no common name for the state of a history."""
        raise NotImplementedError(f"{self.options.model} has no user embeddings")


plugin = BackbonePlugin(
    implementation=RecBole,
    summary=f"any of {len(FITS)} more sequential models of RecBole: backbone.model=...",
    options=RecBoleOptions,
    trained=True,
    default_decoder="topk",
    extra="recbole",
    paper="Zhao et al., RecBole, CIKM 2021. https://doi.org/10.1145/3459637.3482016",
)
