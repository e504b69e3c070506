"""``recbench plugin check``: what keeps the contract passes; what does not is named, whatever it does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recbench import checks as package
from recbench import registry
from recbench.checks.moves import _drawn_on_the_cpu, moved
from recbench.checks.speed import _allocated, answers, measured
from recbench.cli import cli
from recbench.errors import RecbenchError

METRIC = """
import os
from recbench.interfaces import MetricPlugin, Options, RankMetric

class Mine(RankMetric[Options]):
    def values(self, ranks, depth):
        {body}

plugin = MetricPlugin(implementation=Mine, summary="mine")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``install(body)``: a metric called mine, of a distribution of its own."""

    def put(body: str) -> None:
        info = tmp_path / "their_metric-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-metric\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text("[recbench.metrics]\nmine = their_metric:plugin\n")
        (tmp_path / "their_metric.py").write_text(METRIC.format(body=body))

    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield put
    registry._installed.cache_clear()
    import sys

    sys.modules.pop("their_metric", None)


def called(*words: str) -> Result:
    return CliRunner().invoke(cli, ["plugin", "check", *words])


def test_a_good_plugin_passes() -> None:
    result = called("head", "--set", "slice.share=0.3")
    assert result.exit_code == 0, result.output
    lines = {" ".join(line.split()) for line in result.stdout.splitlines()}
    assert {"is registered ok", "older records ok"} <= lines
    assert "verdict: head keeps the contract of a slice: 9 checks passed" in lines


def test_a_source_is_checked_with_the_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{u},{i},{100 * u + i},Film {i}" for u in range(6) for i in range(12)]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    result = called("csv", "--set", "dataset.file=own.csv")
    assert result.exit_code == 0, result.output
    assert "checks passed, 1 skipped" in result.stdout


def test_a_bad_one_fails_by_name(install) -> None:
    install("return ranks.astype(float)")
    result = called("mine")
    assert result.exit_code == 1
    assert "metric mine of their-metric 0.1: mine" in result.stdout
    assert "verdict: mine fails 1 of 10 checks" in result.stdout
    (line,) = (line for line in result.stdout.splitlines() if "FAILED" in line)
    assert line.split("FAILED")[0].strip() == "a better rank is never worse"
    assert "the values of the ranks 1 to 10" in line


def test_a_failed_check_without_a_sentence_shows_what_is_not_true(install) -> None:
    install("return (ranks > 0) * float('nan')")
    failed = [line for line in called("mine").stdout.splitlines() if "FAILED" in line]
    assert any("not true: " in line for line in failed)
    assert not any(line.rstrip().endswith("AssertionError") for line in failed)


def test_one_that_ends_its_process_is_a_sentence(install) -> None:
    install("os._exit(3)")
    result = called("mine")
    assert result.exit_code == 1
    assert "recbench: The contract tests of metric 'mine' ended their process (exit code 3)." in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("popularity",), "'popularity' is a backbone and a metric: say which with --kind."),
        (("mls",), "No plugin is called 'mls': did you mean 'msl'?"),
        (("msl", "--kind", "decoder"), "Unknown decoder 'msl'"),
        (("msl", "--kind", "los"), "--kind los is not valid: did you mean 'loss'?"),
        (("msl", "--set", "loss.tua=3"), "--set loss.tua does not exist; did you mean 'tau'?"),
        (("msl", "--set", "decoder.beams=3"), "this run has no group 'decoder', only 'loss'"),
        (("csv",), "A source is checked with your own files: --set dataset.file=PATH."),
    ],
)
def test_a_wrong_request_is_refused(words: tuple[str, ...], said: str) -> None:
    result = called(*words)
    assert said in result.stderr
    assert result.exit_code == 2


def test_without_pytest_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    with pytest.raises(RecbenchError, match="not installed: pip install pytest"):
        next(package.checks("loss", "msl", {}))


def test_speed_compares_with_lml() -> None:
    msl = registry.get("loss", "msl")
    found = measured(msl, msl.options())
    assert found is not None
    assert found.result == "ok"
    assert "x the time of lml" in found.found
    topk = registry.get("decoder", "topk")
    assert measured(topk, topk.options()) is None


def test_a_batch_of_choices_ends_each_title_at_its_last_choice() -> None:
    every, some = answers("valid")(), answers("choices")()
    assert some.dropped + len(some) == len(every)
    last = [int((every.row == title).nonzero().max()) for title in range(64)]
    assert (some.fanout > 1).sum() == (every.fanout > 1).sum()
    assert every.labels[last].eq(2).all(), "titles end with the end-of-title token"
    assert every.logits.shape == (len(every), 8192)


def test_memory_is_the_most_that_lives_at_a_time() -> None:
    import torch

    with _allocated() as allocated:
        kept = torch.zeros(1000)
        for _ in range(3):
            gone = kept + 1
            del gone
        kept.add_(1)
        kept.view(10, 100)
    assert allocated.most == 8000
    assert allocated.now == 4000


@pytest.mark.parametrize(("kind", "name"), [("loss", "msl"), ("loss", "bce"), ("loss", "sdpo"), ("decoder", "exact")])
def test_devices_are_compared(kind: str, name: str) -> None:
    plugin = registry.get(kind, name)
    same = moved(plugin, plugin.options(), "cpu")
    assert same is not None
    assert (same.result, same.found) == ("ok", "differs from the CPU by 0 of the largest value")
    other = moved(plugin, plugin.options(), "meta")  # a device that computes no numbers
    assert other is not None
    assert other.result == "FAILED"


@pytest.mark.parametrize(("kind", "name"), [("loss", "ce"), ("loss", "msl")])
def test_a_loss_of_another_value_elsewhere_fails(kind: str, name: str) -> None:
    """The second device is the CPU too, and the second instance stands for a kernel of its own that is wrong."""
    plugin = registry.get(kind, name)
    made = []

    class Wrong(plugin.implementation):  # type: ignore[misc, name-defined]
        def __init__(self, options: object) -> None:
            super().__init__(options)
            self.factor = 1.0 + 0.1 * len(made)
            made.append(self)

        def __call__(self, batch: object) -> object:
            total, count = super().__call__(batch)
            return self.factor * total, count

    found = moved(replace(plugin, implementation=Wrong), plugin.options(), "cpu")
    assert found is not None
    assert (found.result, found.found) == ("FAILED", "differs from the CPU by 0.1 of the largest value")


def test_a_loss_draws_the_same_on_every_device() -> None:
    """Meta, which computes nothing, shows that what is drawn gets to where it was asked for."""
    import torch

    def draws(device: str) -> list[torch.Tensor]:
        torch.manual_seed(3)
        zeros = torch.zeros(4, device=device)
        weights = torch.ones(4, device=device)
        return [
            torch.rand(4, device=device), torch.randint(9, (4,), device=device), torch.randperm(4, device=device),
            zeros.uniform_(), torch.multinomial(weights, 2), torch.nn.functional.dropout(weights),
            torch.rand(4, generator=torch.Generator().manual_seed(8), device=device),
        ]  # fmt: skip

    plain = draws("cpu")[:-1]
    with _drawn_on_the_cpu():
        here, again = draws("cpu"), draws("cpu")
        meta = [torch.rand(3, device="meta"), torch.randint(9, (3,), device="meta")]
    assert all(torch.equal(a, b) for a, b in zip(plain, here, strict=False))
    assert all(torch.equal(a, b) for a, b in zip(here, again, strict=True))
    assert {tensor.device.type for tensor in meta} == {"meta"}


def test_attention_stays_on_its_device() -> None:
    """Its operators are tagged as random for their dropout, and a GPU's have no kernel on the CPU."""
    import torch

    query = torch.empty(1, 1, 4, 8, device="meta")
    with _drawn_on_the_cpu():
        found = torch.ops.aten._scaled_dot_product_efficient_attention(query, query, query, None, False)
    assert found[0].device.type == "meta"


def test_a_kind_that_uses_no_device_is_not_moved() -> None:
    plugin = registry.get("slice", "head")
    assert moved(plugin, plugin.options()) is None


def test_a_package_that_is_not_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own tests, and the command."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["plugin", "new", "loss", "unheard"]).exit_code == 0
    asked = called("unheard")
    assert "recbench: The package in recbench-unheard is not installed: run pip install -e recbench-unheard." in (
        asked.stderr
    )
    assert asked.exit_code == 2
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "recbench-unheard", "-k", "TestUnheard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = "No installed package registers the loss 'unheard': run pip install -e recbench-unheard"
    assert said in done.stdout
    assert "Unknown loss" not in done.stdout
