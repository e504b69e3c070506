"""README and docs: commands parse, and run where that is cheap; Python runs; outputs are real; links lead somewhere.

``RECBENCH_UPDATE=1`` writes the outputs in ``console`` blocks anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import recbench
from recbench.cli import cli
from recbench.cli.outcome import report
from recbench.pages import load_records

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "plugins/*/README.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHEAP = {  # commands that run as they are
    *("list", "describe", "store", "store prune", "table", "compare", "show", "recommend", "data audit", "llm list"),
    *("suite list", "suite plan", "leaderboard add", "leaderboard build"),
}
ELSEWHERE = {  # what a reader has and a test does not: these commands are only parsed
    *(
        "narrow",
        "newest",
        "counts",
        "every_title",
        "tabs",
        "decades",
        "toy",
        "book-msl",
        "path/to/model",
        "path/to/model.gguf",
        "OWNER/NAME",
    ),
    *("smollm2-135m", "ml-100k", "focal"),
}
FILMS = ["Toy Story (1995)", "Fargo (1996)", *(f"Film {n} (1990)" for n in range(2, 40))]
SMALL: dict[str, Any] = {
    "evaluate": {"validation_cases": 4, "cases": 8},
    "machine": {"threads": 1},
}
TINY = {"llm": {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 32, "vocabulary": 400}}
HELPER = {"collaborative": {"hidden": 8, "layers": 1, "inner": 8}, "collaborative_train": {"epochs": 1, "samples": 64}}
SETS = {"llara": {**SMALL, **TINY, **HELPER}, "sasrec": {**SMALL, "backbone": {"hidden": 8, "layers": 1, "inner": 8}}}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(text_of(page)) if language in languages]


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command of a page, without comments, redirections and variables."""
    for block in blocks(page, "bash", ""):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for text in " ".join(map(shlex.quote, words)).split(" '&&' "):
                found = shlex.split(text.partition(" '>' ")[0])
                while found and "=" in found[0]:
                    found.pop(0)
                if found:
                    yield found


ALL = [(page, words) for page in PAGES for words in commands(page)]
OURS = sorted({tuple(words[words.index("recbench") + 1 :]) for _, words in ALL if "recbench" in words})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the pages talk about: a file of interactions, the YAML of the pages, two runs."""
    folder = tmp_path_factory.mktemp("docs")
    rows = [
        f"u{u},i{item},{1000 + 60 * n + u},{FILMS[item]}"
        for u in range(40)
        for n in range(14)
        for item in [(u * 3 + n * (1 + u % 3)) % 40]
    ]
    (folder / "mine.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    (folder / "titles.csv").write_text("item,title\n" + "".join(f"i{n},{film}\n" for n, film in enumerate(FILMS)))
    for name in ("lists.csv", "seed1.parquet", "seed2.parquet", "runs-a", "runs-b"):
        (folder / name).touch()
    for name in ("reviews", "meta"):
        (folder / f"{name}_Toys_and_Games.json.gz").touch()
    for text in (block for page in PAGES for block in blocks(page, "yaml")):
        (folder / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def runs(place: Path) -> dict[str, str]:
    """What the pages call runs -> their ids."""
    own = ["run", "--model", "popularity", "--dataset", "csv", "--data-dir", "mine.csv"]
    ids = []
    for more in ([], ["--set", "evaluate.history=excluded"]):
        done = CliRunner().invoke(cli, [*own, *more])
        assert done.exit_code == 0, done.output
        ids.append(done.stdout.split()[1])
    return {"RUN": ids[0], "RUN_A": ids[0], "RUN_B": ids[1]}


def parsed(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the command that the words call; their options are checked, and nothing runs."""
    called: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("recbench.steps.remote.opened", lambda *args: None)
        patch.setattr(click.Command, "invoke", lambda self, context: called.append(context.command_path))
        done = CliRunner().invoke(cli, list(words), prog_name="recbench")
    assert done.exit_code == 0, done.output
    return called[-1].removeprefix("recbench ") if called else ""


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_a_command(words: tuple[str, ...], runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = parsed(words, monkeypatch)
    if ELSEWHERE & set(words):
        return
    words = tuple(runs.get(word, word) for word in words)
    if name == "run":
        words = (*words, *(() if "--dry-run" in words else ("--dry-run",)))
    elif name not in CHEAP:
        return
    done = CliRunner().invoke(cli, list(words))
    assert done.exit_code == 0, done.output


def test_the_other_commands_name_what_exists() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    targets = re.search(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
    assert targets is not None
    for page, words in ALL:
        program, *rest = (words[0].removeprefix(".venv/bin/"), *words[1:])
        if program == "make":
            assert {word for word in rest if "=" not in word} <= set(targets[1].split()), (page, words)
        elif program == "pip":
            extras = re.findall(r"\.\[(\w+)\]", " ".join(rest))
            assert set(extras) <= set(project["optional-dependencies"]), (page, words)
            assert "-c" not in rest or (ROOT / rest[rest.index("-c") + 1]).is_file(), (page, words)
        elif program == "pytest":
            here = [path for path in rest if not path.startswith("test_")]  # of the tutorials' own package
            assert all((ROOT / path).exists() for path in here), (page, words)
        elif program == "python":
            assert (ROOT / rest[0]).is_file(), (page, words)
        else:
            assert program in {"recbench", "torchrun", "source", "bash", "python3.11", "dask"}, (page, words)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that begin with the name of a file are parts of a package, which test_tutorials runs."""
    run, load = recbench.run, recbench.datasets.load

    def small(model: str, **flags: Any) -> recbench.Run:
        own = {"dataset": "csv", "data_dir": "mine.csv", "device": "cpu", "seeds": 2, "epochs": 1, "train_samples": 32}
        return run(model, **{**flags, **own, "set": SETS[model], "progress": False})

    monkeypatch.setattr("recbench.api.run", small)
    monkeypatch.setattr("recbench.datasets.load", lambda name: load("csv", "mine.csv"))
    names: dict[str, Any] = {}
    for text in blocks(page, "python"):
        if not re.match(r"# \S+\.py\n", text):
            exec(compile(text, page, "exec"), names)


def shown(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints: a run prints what the committed record of the same method and seeds does."""
    if words[0] != "run":
        monkeypatch.chdir(ROOT)
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        return done.stdout
    model, loss, seeds = (words[words.index(flag) + 1] for flag in ("--model", "--loss", "--seeds"))
    (record,) = (
        one
        for one in load_records(ROOT / "leaderboards/records")
        if (one.labels.method, one.labels.loss, str(len(one.seeds))) == (model, loss, seeds)
    )
    monkeypatch.chdir(folder)
    kept = folder / "runs" / record.run / "record.json"
    kept.parent.mkdir(parents=True)
    shutil.copy(ROOT / "leaderboards/records" / f"{record.run}.json", kept)
    printing = click.Command("run", callback=lambda: report(record, Path("runs")))
    done = CliRunner().invoke(printing, [])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")])
def test_an_output_is_what_the_command_prints(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(page)
    for block in blocks(page, "console"):
        line = block.partition("\n")[0]
        real = f"{line}\n{shown(shlex.split(line.removeprefix('$ recbench ')), tmp_path, monkeypatch)}"
        if os.environ.get("RECBENCH_UPDATE"):
            text = text.replace(block, real)
            (ROOT / page).write_text(text, encoding="utf-8")
        else:
            assert block == real, f"RECBENCH_UPDATE=1 pytest tests/docs ({page})"


def test_the_rates_of_the_statistics_tutorial_are_those_of_the_calibration() -> None:
    found = {part: measured["rates"] for part, measured in json.loads(text_of("benchmarks/calibration.json")).items()}
    (pair,) = (
        r for name, r in found["null"].items() if name.startswith("ml-100k") and name.endswith("effect), 5 seeds")
    )
    (page,) = (rates for name, rates in found["page"].items() if name.endswith("as recorded"))
    (power,) = (r for name, r in found["power"].items() if name.startswith("ml-100k") and ": 1 x" in name)
    rates = [*(pair[test] for test in ("mark", "t, cases", "Wilcoxon, cases")), page["any mark"], power["mark"]]
    stated = re.findall(r"\| (\d+) % \|", text_of("docs/tutorials/statistics.md"))
    assert stated == [f"{100 * rate:.0f}" for rate in rates]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for target in re.findall(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)", BLOCK.sub("", text_of(page))):
        generated = page.startswith("docs/") and "reference/" in target  # mkdocs checks those
        assert target.startswith("https://") or generated or (ROOT / page).parent.joinpath(target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(re.findall(r"\S*\w\S*", text_of("README.md"))) <= 700


def test_the_version_is_the_same_everywhere() -> None:
    version = recbench.__version__
    assert f"version: {version}\n" in text_of("CITATION.cff")
    assert f"version = {{{version}}}," in text_of("docs/cite.md")
    assert re.findall(r"^## (\d\S*) - ", text_of("CHANGELOG.md"), re.MULTILINE)[0] == version
