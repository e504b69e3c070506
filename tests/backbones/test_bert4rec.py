"""BERT4Rec is RecBole's: same function, the mask behind the history, masks as announced."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbench.testing import tiny_split
from recbench.types import PAD
from recbench_plugins.backbones.bert4rec import BERT4Rec, BERT4RecOptions, draw_masks

pytest.importorskip("recbole", reason="RecBole is not installed")


@pytest.fixture
def model():
    split = tiny_split()
    model = BERT4Rec(BERT4RecOptions(hidden=16, inner=16))
    torch.manual_seed(0)
    model.build(split)
    return split, model


def test_scores_equal_recboles_own_forward(model) -> None:
    split, mine = model
    from recbole.model.sequential_recommender.bert4rec import BERT4Rec as Theirs

    longest = split.train.history.shape[1]
    settings = {
        "n_layers": 2, "n_heads": 2, "hidden_size": 16, "inner_size": 16, "hidden_dropout_prob": 0.5,
        "attn_dropout_prob": 0.5, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "initializer_range": 0.02,
        "mask_ratio": 0.2, "loss_type": "CE", "MAX_ITEM_LIST_LENGTH": longest + 1, "USER_ID_FIELD": "u",
        "ITEM_ID_FIELD": "i", "LIST_SUFFIX": "_s", "ITEM_LIST_LENGTH_FIELD": "n", "NEG_PREFIX": "neg_", "device": "cpu",
        "MASK_ITEM_SEQ": "a", "POS_ITEMS": "b", "NEG_ITEMS": "c", "MASK_INDEX": "d",
    }  # fmt: skip
    theirs = Theirs(settings, SimpleNamespace(num=lambda _: len(split.catalog) + 1))
    torch.nn.init.normal_(mine.module.model.output_bias)
    theirs.load_state_dict(mine.module.model.state_dict())
    theirs.eval()
    rows = [[int(i) + 1 for i in row if i != PAD] + [len(split.catalog) + 1] for row in split.test.history]
    items = torch.tensor([row + [0] * (longest + 1 - len(row)) for row in rows])
    with torch.no_grad():
        states = theirs(items)[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])]
        expected = states @ theirs.item_embedding.weight[1:-1].T + theirs.output_bias[1:]
    assert mine.scores(split.test.histories()) == pytest.approx(expected.numpy(), abs=1e-5)


def test_no_item_of_a_full_history_is_cut_off(model) -> None:
    split, mine = model
    cases = split.test.histories()
    full = np.nonzero(cases.history_length == cases.history.shape[1])[0][:1]
    case = cases.take(full)
    changed = case.history.copy()
    changed[0, 0] = (changed[0, 0] + 1) % len(split.catalog)
    other = type(case)(case.users, changed, case.time)
    assert not np.allclose(mine.scores(case), mine.scores(other))


def test_masks() -> None:
    torch.manual_seed(0)
    lengths = torch.arange(1, 6).repeat(4000)[:, None]
    items = (torch.arange(6) <= lengths).long() * 7
    masked = draw_masks(items, lengths, 0.2, 0.0)
    assert not masked[items == 0].any()
    assert masked.any(dim=1).all(), "a row without a mask is lost"
    longest = lengths[:, 0] == 5
    # of six items, a fifth are masked, and one where that would be none
    assert float(masked[longest].sum(1).float().mean()) == pytest.approx(6 * 0.2 + 0.8**6, rel=0.02)
    ends = draw_masks(items, lengths, 0.2, 1.0)
    assert (ends.nonzero()[:, 1:] == lengths).all()
    mixed = draw_masks(items, lengths, 0.2, 0.5)[longest]
    last_alone = mixed[:, 5] & (mixed.sum(1) == 1)
    chance = 0.2 * 0.8**5 + 0.8**6 / 6
    assert float(last_alone.float().mean()) == pytest.approx(0.5 + 0.5 * chance, abs=0.03)


def test_the_loss_sees_the_masked_items(model) -> None:
    split, mine = model
    columns = mine.inputs(split.train) | {"target": torch.from_numpy(split.train.target).long()}
    mine.options = BERT4RecOptions(hidden=16, inner=16, last_only=1.0)
    scored = mine.score_batch(columns)
    assert scored.target.tolist() == split.train.target.tolist()
    mine.options = BERT4RecOptions(hidden=16, inner=16, last_only=0.0, mask_ratio=1.0)
    scored = mine.score_batch(columns)
    windows = np.concatenate([split.train.history, split.train.target[:, None]], axis=1)
    assert scored.target.tolist() == windows[windows != PAD].tolist()
    assert len(scored.states) == len(scored)
    assert len(scored.items) == len(scored.bias) == len(split.catalog)
