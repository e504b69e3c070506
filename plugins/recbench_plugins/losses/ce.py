"""Cross-entropy over the catalogue, for recommenders that score every item.

Paper: Kang and McAuley, SASRec, ICDM 2018 trains with BCE and one negative; RecBole's ``loss_type: CE`` (its default,
and the stronger one) is the softmax over all items. The backbone computes it; this descriptor names the choice.
"""

from __future__ import annotations

from recbench.interfaces import Plugin

plugin = Plugin(
    kind="loss",
    summary="softmax cross-entropy over all items",
    implementation="recbench_plugins.losses.ce:plugin",
    signal="scores",
    paper="RecBole, loss_type CE. https://recbole.io",
)
