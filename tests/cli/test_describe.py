"""``recbench describe`` says what a method is, where it comes from, and how it differs from its paper."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from recbench import registry
from recbench.cli import cli
from recbench.cli.describe import known_differences, option_rows
from recbench.spec.options import EvaluateOptions, TrainBudget


def described(*words: str) -> str:
    result = CliRunner().invoke(cli, ["describe", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_method_with_its_paper_distribution_and_differences() -> None:
    out = described("loss", "msl")
    assert registry.origin("loss", "msl") in out
    assert "SIGIR 2025" in out
    assert "Known differences between paper and code, and what variant chooses:" in out
    assert "root of the quadratic" in out
    assert "``" not in out
    assert "eta" in out
    assert described("msl") == out == described("losses", "msl")


@pytest.mark.parametrize("kind", ["backbone", "loss", "decoder"])
def test_every_method_with_a_paper_says_how_it_differs(kind: str) -> None:
    names = [name for name in registry.names(kind) if registry.get(kind, name).paper]
    silent = [name for name in names if not known_differences(registry.get(kind, name))]
    assert names
    assert silent in ([], ["popularity"])  # a count has nothing to differ in


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sasrec", ["every target is ranked against the whole catalogue"]),
        ("dllm2rec", ["feed-forward layers use ReLU", "every target is ranked"]),
        ("llmcf", ["every target is ranked", "User embeddings are drawn from Xavier's", "zeros"]),
        ("allmrec", ["sentence encoder", "no descriptions", "Xavier's normal", "length 1", "user's token"]),
        ("llara", ["sixteen", "starts again with every epoch"]),
        ("grounding", ["BOS", "epoch is the one that is best under the backbone's validation decoder"]),
        ("msl", ["over the answer tokens of a batch", "NDCG@5 on test", "Where eta is out of reach"]),
    ],
)
def test_every_known_difference_is_printed(name: str, said: list[str]) -> None:
    """Also those of a module that the method's own header refers to, once each."""
    out = " ".join(described(name).split())
    for part in said:
        assert out.count(part) == 1, part


def test_a_data_set_and_the_source_that_reads_it() -> None:
    assert "source csv" in described("dataset", "csv")
    out = described("dataset", "ml-100k")
    assert "MovieLens 100K" in out
    assert "from datasets.yaml" in out
    assert "--set dataset." in out
    assert described("source", "ml-100k") in out
    wrong = CliRunner().invoke(cli, ["describe", "dataset", "ml-100"])
    assert "did you mean 'ml-100k'" in f"{wrong.output} {wrong.exception}"


@pytest.mark.parametrize("words", [("llm", "tiny"), ("llm", "pretrained"), ("train",), ("evaluate",), ("machine",)])
def test_groups(words: tuple[str, ...]) -> None:
    assert f"--set {words[0]}." in described(*words)


def test_what_a_preset_decides_has_no_other_default() -> None:
    rows = {row[0]: row[2] for row in option_rows(EvaluateOptions)} | {r[0]: r[2] for r in option_rows(TrainBudget)}
    for name in ("per_user", "validation_cases", "samples", "targets", "epochs", "patience"):
        assert rows[name] == "(preset)"
    assert rows["schedule"] == rows["gradient_clip"] == "(by model)"
    assert rows["stride"] == "1"
