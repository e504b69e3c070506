"""SASRec through RecBole: its transformer, trained by the bench's loop on the bench's windows.

Paper: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, https://doi.org/10.1109/ICDM.2018.00035.
Implementation: RecBole 1.2.1, ``recbole.model.sequential_recommender.SASRec``, its published defaults.

Known differences: those of :mod:`recbench.sequential`. The paper trains with ``--loss bce``; the default is RecBole's,
``ce``. It predicts at every place of a sequence; here, as in RecBole, a window is one prediction.
"""

from __future__ import annotations

from recbench.interfaces import BackbonePlugin
from recbench.sequential import SequenceModel, SequenceOptions


class SASRecOptions(SequenceOptions):
    """Options of ``--model sasrec``; defaults are RecBole's."""


class SASRec(SequenceModel[SASRecOptions]):
    """A causal transformer over item embeddings; an item's score is its embedding's product with the last state."""


plugin = BackbonePlugin(
    implementation=SASRec,
    summary="self-attention over item embeddings (RecBole)",
    options=SASRecOptions,
    default_loss="ce",
    default_decoder="topk",
    extra="recbole",
    paper="Kang and McAuley, SASRec, ICDM 2018. https://doi.org/10.1109/ICDM.2018.00035",
)
