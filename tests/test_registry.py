"""Whatever a third party's distribution holds: one sentence, and everything else is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recbench import registry
from recbench.cli import cli
from recbench.cli.text import table, wrapped
from recbench.errors import RecbenchError, UsageError
from recbench.interfaces import Options

LOSS = """
from recbench.interfaces import Loss, LossPlugin, Options

class Mine(Loss[Options]):
    def __call__(self, batch):
        return 0.0, 0

"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``install(name, entry_points, module)``: a distribution of one module, on the path of this process."""

    def put(name: str, entry_points: str | bytes, module: str = "") -> None:
        info = tmp_path / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        text = entry_points if isinstance(entry_points, bytes) else entry_points.encode()
        (info / "entry_points.txt").write_bytes(text)
        (tmp_path / f"{name}.py").write_text(module)

    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield put
    registry._installed.cache_clear()


def listed(*words: str) -> Result:
    result = CliRunner().invoke(cli, ["list", *words])
    assert result.exit_code == 0, result.output
    assert "masked softmax" in result.stdout, "our own are listed, whatever the others are"
    return result


BROKEN = {
    "exits": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "raises": ("raise RuntimeError('no\\nGPU')", "RuntimeError: no GPU"),
    "syntax": ("def", "SyntaxError"),
    "nothing": ("", "no attribute 'plugin'"),
    "number": ("plugin = 3", "is int, but an entry point of recbench.losses must name a LossPlugin"),
    "old": ("from recbench.interfaces import Plugin\nplugin = Plugin(kind='loss', summary='x')", "TypeError"),
    "summary": (LOSS + "plugin = LossPlugin(implementation=Mine, summary=None)", "Mine: summary must be one line"),
    "options": (LOSS + "plugin = LossPlugin(implementation=Mine, summary='x', options=dict)", "Mine: options must be"),
    "kind": (
        "from recbench_plugins.decoders.topk import plugin",
        "is DecoderPlugin, but an entry point of recbench.losses must name a LossPlugin",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_listed_and_named(what: str, install) -> None:
    module, said = BROKEN[what]
    install(f"thirdparty_{what}", f"[recbench.losses]\n{what} = thirdparty_{what}:plugin\n", module)
    for result in (listed(), listed("losses")):
        (line,) = (line for line in result.stdout.splitlines() if line.strip().startswith(f"{what}  "))
        assert "BROKEN" in line
        assert said in line
    with pytest.raises(RecbenchError, match=f"Loss '{what}' of thirdparty_{what} 0.1") as caught:
        registry.get("loss", what)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[recbench.losses]\nmine\n", b"\xff\xfe[recbench.losses]"])
def test_a_garbage_entry_points_file(text: str | bytes, install) -> None:
    install("garbage", text)
    assert "BROKEN: The entry_points.txt of garbage cannot be read" in listed("losses").stdout
    assert "msl" in registry.names("loss")


def test_an_unknown_group(install) -> None:
    install("astray", "[recbench.looses]\nmine = astray:plugin\n")
    said = "BROKEN: 'mine' of astray is in the group 'recbench.looses', which does not exist: did you mean"
    assert f"{said} 'recbench.losses'?" in listed("losses").stdout


def test_two_distributions_with_one_name(install) -> None:
    for name in ("one", "other"):
        install(name, f"[recbench.losses]\ntwin = {name}:plugin\n")
    with pytest.raises(UsageError, match="'twin' is claimed by one and other"):
        registry.get("loss", "twin")


def test_a_good_plugin(install) -> None:
    module = LOSS + "plugin = LossPlugin(implementation=Mine, summary='my own', revision=2)"
    install("fine", "[recbench.losses]\nmine = fine:plugin\n", module)
    found = registry.get("loss", "mine")
    assert (found.signal, found.revision, found.implementation.__name__) == ("text", 2, "Mine")
    assert registry.origin("loss", "mine") == "fine 0.1"
    assert registry.distribution("loss", "mine") == ("fine", "0.1")
    assert "my own (fine 0.1)" in listed("losses").stdout


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise ValueError('inner')", "works0 0.1 failed with ValueError: inner. RECBENCH_DEBUG=1 shows where."),
        ("raise SystemExit(0)", "works1 0.1 called sys.exit(0), where it should raise an error."),
        ("import no_such", "works2 0.1 needs something that is not installed (ModuleNotFoundError: No module named"),
    ],
)
def test_what_goes_wrong_in_a_plugin_names_it(install, body: str, sentence: str) -> None:
    name = sentence.partition(" ")[0]
    module = LOSS.replace("return 0.0, 0", body) + "plugin = LossPlugin(implementation=Mine, summary='my own')"
    install(name, f"[recbench.losses]\nmine = {name}:plugin\n", module)
    loss = registry.get("loss", "mine").implementation(Options())
    with (
        pytest.raises(RecbenchError, match=re.escape(f"Loss 'mine' of {sentence}")),
        registry.blamed([("loss", "mine"), ("decoder", "topk")]),
    ):
        loss(None)


def test_what_goes_wrong_elsewhere_is_not_blamed_on_a_plugin() -> None:
    with pytest.raises(ValueError, match="its own"), registry.blamed([("decoder", "topk")]):
        raise ValueError("its own")
    with pytest.raises(RecbenchError, match="A library called"), registry.blamed([("decoder", "topk")]):
        raise SystemExit(3)


@pytest.mark.parametrize("width", [80, 100])
def test_a_terminal_is_not_exceeded(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbench.cli import list as command
    from recbench.cli import plugin

    for module in (command, plugin):
        monkeypatch.setattr(module, "terminal_width", lambda: width)
    for words in (["list"], ["list", "datasets"], ["plugin", "list"]):
        lines = CliRunner().invoke(cli, words).stdout.splitlines()
        assert len(lines) > 4
        assert max(map(len, lines)) <= width


def test_a_summary_is_wrapped_under_itself() -> None:
    words = "a summary of several words that goes on and on"
    lines = table([["name", "", words]], "", 30)
    assert lines == ["name  a summary of several", "      words that goes on and", "      on"]
    assert table([["name", "", words]], "", 0) == [f"name  {words}"]
    assert wrapped("x " * 40, "", 0) == "x " * 40
