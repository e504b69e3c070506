"""The site: a pure function of the records, with every text escaped and every link leading somewhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from click.testing import CliRunner

from recbench.cli import cli
from recbench.errors import DataError, UsageError
from recbench.evaluation import metric
from recbench.pages import compare_records
from recbench.pages.latex import escaped
from recbench.pages.rows import sections
from recbench.results import RunRecord, read
from recbench.site import build, check
from recbench.site.cards import card_of
from recbench.site.export import bibtex, latex_row
from recbench.site.plots import frontier, near, ticks
from recbench.stats import mean_intervals, user_sums

Keep = Callable[[str, list[RunRecord]], Path]
ASSETS = Path(__file__).parents[2] / "recbench/site/assets"
VOID = {"input", "link", "meta", "img"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what matters."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.inline = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if "id" in dict(attrs):
            self.ids.append(dict(attrs)["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.inline += data


def pages(out: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in out.rglob("*.html")}


@pytest.fixture(scope="module")
def site(keep: Keep, records: list[RunRecord], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of records and the site built from it."""
    folder, out = keep("plain", records), tmp_path_factory.mktemp("site") / "site"
    build(folder, out)
    return folder, out


def of(record: RunRecord, out: Path) -> str:
    return (out / "runs" / f"{record.run}.html").read_text("utf-8")


def data_of(page: str) -> list[dict[str, Any]]:
    """What the page's script is given, for each test set."""
    return [json.loads(text) for text in re.findall(r'class="board-data">(.*?)</script>', page)]


def rest_of(path: Path) -> Any:
    """What a page loads when asked: the second argument of the one call."""
    return json.loads("[" + path.read_text("ascii").removeprefix("recbench.put(").removesuffix(");\n") + "]")[1]


def test_the_site_is_a_pure_function_of_the_records(site: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = site
    assert check(folder, out) == []
    again = build(folder, tmp_path / "again")
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert all((out / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)
    assert again.files == len(files) == again.written
    assert build(folder, tmp_path / "again").written == 0


def test_every_page_is_whole_and_every_link_leads_somewhere(site: tuple[Path, Path]) -> None:
    _, out = site
    found = pages(out)
    assert len(found) == 1 + 1 + 6
    for path, page in found.items():
        assert len(page.ids) == len(set(page.ids))
        for tag, attributes in page.tags:
            for name in ("href", "src"):
                address, anchor = urldefrag(attributes.get(name) or "")
                if (attributes.get(name) or "data:").startswith("data:"):
                    continue
                assert "://" not in address, (path, tag, address)  # nothing comes from elsewhere
                target = (path.parent / unquote(address)).resolve() if address else path.resolve()
                assert target.is_file(), (path, tag, address)
                if anchor:
                    assert anchor in page.ids


def test_nothing_runs_inside_a_page(site: tuple[Path, Path]) -> None:
    for page in pages(site[1]).values():
        assert not any(name == "style" or name.startswith("on") for _, attributes in page.tags for name in attributes)
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        assert all("src" in one or one["type"] == "application/json" for one in scripts)
        (policy,) = [a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv")]
        assert policy is not None
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_the_script_is_all_of_its_parts(site: tuple[Path, Path]) -> None:
    script = (site[1] / "assets/site.js").read_text("utf-8")
    parts = [path.read_text("utf-8") for path in (ASSETS / "script").glob("*.js")]
    assert len(parts) > 1
    assert all(script.count(part) == 1 for part in parts)
    # parts share one scope, in which a second function of a name would replace the first without a word
    names = re.findall(r"^(?:async )?(?:function|const) (\w+)", script, re.M)
    assert len(names) == len(set(names))


def test_the_browser_is_given_the_numbers_of_the_statistics(site: tuple[Path, Path], records: list[RunRecord]) -> None:
    _, out = site
    data, other = data_of((out / "data-sets/ml-100k.html").read_text("utf-8"))
    (section,) = [s for s in sections(records) if s.n_cases == 300]
    assert (data["users"], data["cases"], data["pairs"], len(other["runs"])) == (40, 300, 10, 1)
    assert data["runs"] == [row.record.run for row in section.rows]
    rest = rest_of(out / "data/ml-100k-1.js")
    counts = np.frombuffer(base64.b64decode(rest["counts"]), "<f8")
    sums = [np.frombuffer(base64.b64decode(rest_of(out / f"data/values/{run}.js")), "<f8") for run in data["runs"]]
    tests = np.frombuffer(base64.b64decode(rest["tests"]), "<f4").reshape(-1, 4)
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    for number, (i, j) in enumerate(pairs):
        tested = section.tests[i, j]
        c = compare_records(section.rows[i].record, section.rows[j].record)
        # the values are those that recbench compares, to the last digit of a float
        assert (sums[i] - sums[j]).sum() / counts.sum() == pytest.approx(c.difference, abs=1e-15)
        assert tests[number] == pytest.approx([c.p_two_level, tested.p_holm, *c.interval_two_level], rel=1e-6)
        mark = "=" if not tested.differs else ">" if c.difference > 0 else "<"
        assert data["marks"][number] == mark
    assert set(data["marks"]) >= {"=", ">"}
    for row, seen in zip(section.rows, data["view"]["rows"], strict=True):
        by_seed = metric("NDCG@10").by_seed(row.record.case_results())
        assert seen["s"] == pytest.approx(by_seed.tolist(), rel=1e-5)
        assert seen["i"][0] < by_seed.mean() < seen["i"][1]


def test_parts_of_the_test_set_are_their_cases(site: tuple[Path, Path], records: list[RunRecord]) -> None:
    data, _ = data_of((site[1] / "data-sets/ml-100k.html").read_text("utf-8"))
    parts = {part["name"]: part for part in rest_of(site[1] / "data/ml-100k-1.js")["parts"]}
    by_run = {record.run: record for record in records}
    for name, wanted in (("cold", lambda c: c.cold == 1), ("warm", lambda c: c.cold == 0)):
        for run, seen in zip(data["runs"], parts[name]["rows"], strict=True):
            mask = wanted(by_run[run].cases)
            # NDCG@10 by hand: one relevant item
            gains = [
                np.where(s.ranks > 0, 1 / np.log2(np.maximum(s.ranks, 1) + 1), 0)[mask].mean()
                for s in by_run[run].seeds
            ]
            assert seen["m"]["NDCG@10"][0] == pytest.approx(np.mean(gains), rel=1e-5)
            assert parts[name]["cases"] == mask.sum()
            assert "coverage@10" not in seen["m"]  # a share of the catalogue says how many cases there are


def test_the_interval_of_a_mean_is_that_of_its_difference_from_nothing() -> None:
    rng = np.random.default_rng(3)
    from recbench.types import CaseResults

    users = np.repeat(np.arange(60), 5)
    zeros = np.zeros(300, np.int32)

    def results(ranks: np.ndarray) -> CaseResults:
        return CaseResults(users, ranks, zeros.astype(bool), zeros, zeros, tuple(range(len(ranks))))

    some = results(rng.integers(0, 11, size=(3, 300)).astype(np.int32))
    ndcg = metric("NDCG@10")
    (low, high) = mean_intervals(user_sums([some], ndcg.values))[0]
    means = ndcg.values(some).mean(axis=0).reshape(60, 5).mean(axis=1)
    by_seed = ndcg.by_seed(some)
    # the textbook's interval of a mean over users, which it cannot be far from nor, with seeds, much narrower than
    half = 2.0 * means.std(ddof=1) / np.sqrt(60)
    assert low == pytest.approx(by_seed.mean() - half, abs=0.4 * half)
    assert high == pytest.approx(by_seed.mean() + half, abs=0.4 * half)


def test_a_run_page_says_what_its_record_says(site: tuple[Path, Path], records: list[RunRecord]) -> None:
    folder, out = site
    page = of(records[0], out)
    assert (out / f"records/{records[0].run}.json").read_bytes() == (folder / f"{records[0].run}.json").read_bytes()
    assert "recbench run --model llara --seeds 3" in page
    assert records[0].examples is not None
    first = records[0].examples.cases[0]
    assert f"Film {records[0].cases.target[first]}</bdi>" in page
    assert page.count('class="plot"') == 3  # loss, validation, tau
    assert of(records[2], out).count('class="plot"') == 2
    assert "tau" in page
    assert latex_row(sections(records)[1].rows[0]).splitlines()[1].replace("&", "&amp;") in page


def test_a_record_without_titles_shows_numbers_and_says_so(
    records: list[RunRecord], keep: Keep, tmp_path: Path
) -> None:
    old = records[0].model_copy(update={"examples": None})
    build(keep("old", [old]), tmp_path)
    page = of(old, tmp_path)
    assert "holds no histories and titles" in page
    assert "item 0</bdi>" in page
    assert "Film" not in page


def test_rows_that_cannot_be_told_apart_are_not_ranked(records: list[RunRecord], keep: Keep, tmp_path: Path) -> None:
    same = [records[4], records[4].model_copy(update={"run": "the-same-again"})]
    build(keep("same", same), tmp_path)
    text = "".join(path.read_text() for path in tmp_path.rglob("*.html"))
    assert "The rows cannot be told apart" in text
    assert "stays first" not in text
    assert "Resolution:" not in text
    assert "resolution 0" not in text


def test_hostile_text_is_text(hostile: list[RunRecord], keep: Keep, tmp_path: Path) -> None:
    build(keep("hostile", hostile), tmp_path)
    for path in tmp_path.rglob("*.html"):
        text = path.read_text("utf-8")
        page = Page(text)
        assert "javascript:" not in " ".join(str(a.get("href")) for _, a in page.tags)
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        assert [a.get("src") for t, a in page.tags if t == "script" and "src" in a] == [
            "assets/site.js" if path.parent == tmp_path else "../assets/site.js"
        ]
        assert not any(t == "img" for t, _ in page.tags)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00\x1b\u2028]", text)
        for inline in re.findall(r"<script type=[^>]*>(.*?)</script>", text, re.S):
            json.loads(inline)  # whatever a record says, it cannot end the element
    assert "x" * 300 not in (tmp_path / "data-sets/hostile6.html").read_text("utf-8")  # 10,000 characters are cut


def test_files_that_no_record_asks_for_are_removed_and_others_stay(
    keep: Keep, records: list[RunRecord], tmp_path: Path
) -> None:
    folder = keep("fewer", records[:2])
    build(folder, tmp_path / "site")
    (tmp_path / "site/CNAME").write_text("bench.example.org")
    (tmp_path / "outside.html").write_text("mine")
    listed = json.loads((tmp_path / "site/files.json").read_text())
    (tmp_path / "site/files.json").write_text(json.dumps([*listed, "../outside.html", "/etc/hostname", 7]))
    (folder / f"{records[1].run}.json").unlink()
    gone = {tmp_path / f"site/{name}" for name in (f"runs/{records[1].run}.html", f"records/{records[1].run}.json")}
    assert gone <= set(check(folder, tmp_path / "site"))
    assert gone <= set(build(folder, tmp_path / "site").removed)
    assert not any(path.exists() for path in gone)
    assert (tmp_path / "site/CNAME").is_file()
    assert (tmp_path / "outside.html").is_file()
    assert check(folder, tmp_path / "site") == []


def test_a_broken_record_writes_nothing(keep: Keep, records: list[RunRecord], tmp_path: Path) -> None:
    folder = keep("broken", records[:1])
    (folder / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"other\.json"):
        build(folder, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    with pytest.raises(UsageError, match="no record"):
        build(tmp_path / "nowhere", tmp_path / "site")


def test_command(keep: Keep, records: list[RunRecord], tmp_path: Path) -> None:
    folder, out = keep("command", records[:2]), tmp_path / "site"

    def called(*words: str) -> Any:
        return CliRunner().invoke(cli, ["site", "build", "--records", str(folder), "--out", str(out), *words])

    assert called("--check").exit_code == 1
    assert not out.exists()
    done = called()
    assert done.exit_code == 0, done.output
    assert "index.html" in done.output
    assert called("--check").exit_code == 0
    (out / "index.html").write_text("edited")
    assert called("--check").exit_code == 1
    missing = CliRunner().invoke(cli, ["site", "build", "--records", str(tmp_path / "no")])
    assert missing.exit_code != 0


def test_card_of_the_committed_data() -> None:
    folder = Path(__file__).parents[2] / "leaderboards/data"
    card = card_of("ml-100k", folder)
    assert card is not None
    assert card.title == "MovieLens 100K"
    assert card.sizes["users"] == "943"
    assert "https://doi.org/10.1145/2827872" in card.facts["licence"]
    assert card.facts["windows"] == "train 71,885, valid 8,986, test 8,986"
    assert card.picture == folder / "ml-100k.png"
    assert card_of("nothing", folder) is None


def test_latex_and_bibtex() -> None:
    assert escaped("a_b & 5 % \\x {y} <z>") == r"a\_b \& 5 \% \textbackslash{}x \{y\} \textless{}z\textgreater{}"
    record = read(next((Path(__file__).parents[2] / "leaderboards/records").glob("*sasrec*.json")))
    (section,) = sections([record])
    said = bibtex(section.rows[0])
    assert said.startswith("@misc{recbench-ml-100k-sasrec-ce-topk-")
    assert "title = {{sasrec + ce + topk on ml-100k}}" in said
    assert "year = {2026}" in said
    assert latex_row(section.rows[0]).endswith("\\\\")


def test_frontier_ticks_and_near_points() -> None:
    rng = np.random.default_rng(0)
    points = [tuple(p) for p in rng.integers(0, 20, size=(60, 2)).tolist()]
    best = frontier(points)
    # brute force: no point is at least as fast and better, and no equal is twice
    wanted = {(x, y) for x, y in points if not any((a <= x and b >= y) and (a, b) != (x, y) for a, b in points)}
    assert set(best) == wanted
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(1.0, 2.0, least=1.0) == [1.0, 2.0]
    low, high = near([0.060, 0.061, 0.062, 0.063, 0.02])
    assert 0.02 < low < 0.060
    assert high > 0.063
