"""SASRec is RecBole's: same function, same distribution of dropout, no side effect of importing it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbench.testing import tiny_split
from recbench.types import PAD
from recbench_plugins.backbones.sasrec import SASRec, SASRecOptions

pytest.importorskip("recbole", reason="RecBole is not installed")


@pytest.fixture
def model():
    split = tiny_split()
    model = SASRec(SASRecOptions(dropout=0.3))
    torch.manual_seed(0)
    model.build(split)
    return split, model


def test_scores_equal_recboles_own_forward(model) -> None:
    split, mine = model
    from recbole.model.sequential_recommender.sasrec import SASRec as Theirs

    torch.autograd.set_detect_anomaly(False)
    settings = {
        "n_layers": 2, "n_heads": 2, "hidden_size": 64, "inner_size": 256, "hidden_dropout_prob": 0.3,
        "attn_dropout_prob": 0.5, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "initializer_range": 0.02,
        "loss_type": "CE", "MAX_ITEM_LIST_LENGTH": split.train.history.shape[1], "USER_ID_FIELD": "u",
        "ITEM_ID_FIELD": "i", "LIST_SUFFIX": "_s", "ITEM_LIST_LENGTH_FIELD": "n", "NEG_PREFIX": "neg_", "device": "cpu",
    }  # fmt: skip
    theirs = Theirs(settings, SimpleNamespace(num=lambda _: len(split.catalog) + 1))
    theirs.load_state_dict(mine.module.model.state_dict())
    theirs.eval()
    rows = [[int(i) + 1 for i in row if i != PAD] for row in split.test.history]
    width = split.test.history.shape[1]
    batch = {
        "i_s": torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        "n": torch.tensor([len(row) for row in rows]),
    }
    with torch.no_grad():
        expected = theirs.full_sort_predict(batch)[:, 1:]
    assert mine.scores(split.test.histories()) == pytest.approx(expected.numpy(), abs=1e-5)


def test_importing_recbole_leaves_anomaly_detection_alone(model) -> None:
    assert not torch.is_anomaly_enabled()


def test_dropout_keeps_the_right_share_at_the_right_scale(model) -> None:
    _, mine = model
    dropout = mine.module.model.dropout.train()
    torch.manual_seed(1)
    out = dropout(torch.ones(1001, 999))
    kept = out[out != 0]
    assert kept.numel() / out.numel() == pytest.approx(0.7, abs=0.002)
    assert torch.allclose(kept, torch.tensor(1 / 0.7), rtol=1e-6)
    # neighbours are independent: the four 16-bit pieces of a drawn word share no bits
    zero = (out == 0).float().flatten()
    assert float((zero[1:] * zero[:-1]).mean()) == pytest.approx(0.09, abs=0.002)


def test_a_separate_output_scores_by_its_own_matrix_and_bias() -> None:
    split = tiny_split()
    mine = SASRec(SASRecOptions(output="separate"))
    torch.manual_seed(0)
    mine.build(split)
    users, items = mine.user_vectors(split.test.histories()), mine.item_vectors()
    bias = mine.module.output.bias.detach().numpy()
    assert np.abs(bias).max() > 0
    assert mine.scores(split.test.histories()) == pytest.approx(users @ items.T + bias, abs=1e-5)
    assert not np.allclose(items, mine.module.model.item_embedding.weight[1:].detach().numpy())


def test_what_recboles_models_import_is_named_when_it_is_missing():
    """As on Python 3.12, where RecBole installs only without what it depends on."""
    code = """
import sys
sys.modules["colorlog"] = None
from recbench.errors import RecbenchError
try:
    import recbench.sequential.network
except RecbenchError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "colorlog" in said
    assert "pip install 'recbench-toolkit[recbole]'" in said
