"""The site in a real Chromium, opened from a file: what a reader can do there, and what a hostile record cannot.

AXE_CORE names a copy of axe-core's axe.min.js, for the check of accessibility.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from recbench.evaluation import metric
from recbench.pages import load_records
from recbench.pages.compare import p_text
from recbench.pages.rows import Section, sections
from recbench.results import RunRecord
from recbench.site import build
from recbench.stats import compare

Keep = Callable[[str, list[RunRecord]], Path]
CHROMIUM = os.environ.get("RECBENCH_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
AXE = os.environ.get("AXE_CORE")
BOARDS = Path(__file__).parents[2] / "leaderboards"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed (extra browser)"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; RECBENCH_CHROMIUM can name one"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file; when the test ends, the browser must have had nothing to complain about."""
    complaints: list[str] = []
    contexts = []

    def opened(path: Path, width: int = 1280, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"not loaded: {request.url}"))
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html.ready", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("committed")
    build(BOARDS / "records", out)
    return out


@pytest.fixture(scope="module")
def small(keep: Keep, records: list[RunRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small")
    build(keep("small", records), out)
    return out


@pytest.fixture(scope="module")
def section() -> Section:
    """The committed test set with the most rows."""
    return max(sections(load_records(BOARDS / "records")), key=lambda one: len(one.rows))


def column(page: Any, name: str) -> list[str]:
    """The cells of a column of the first table, from the top, of the rows that are shown."""
    return page.evaluate(
        """(name) => {
          const table = document.querySelector('table.board');
          const at = [...table.tHead.rows[0].cells].findIndex((head) => head.dataset.c === name);
          return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[at].dataset.v);
        }""",
        name,
    )


def test_a_click_on_a_header_sorts(small: Path, opened: Callable[..., Any]) -> None:
    page = opened(small / "data-sets/ml-100k.html")
    assert column(page, "rank") == ["1", "2", "3", "4", "5"]
    head = page.locator("th[data-c='training']").first
    head.get_by_role("button").click()
    times = [float(v) for v in column(page, "training")]
    assert times == sorted(times)
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")  # the keyboard does the same
    assert [float(v) for v in column(page, "training")] == sorted(times, reverse=True)
    page.locator("th[data-c='loss']").first.get_by_role("button").click()
    assert column(page, "loss") == ["", "ce", "ce", "lml", "msl"]
    assert page.locator("[aria-sort]").count() == 2  # one for each table


def test_filters_leave_the_rows_that_fit(small: Path, opened: Callable[..., Any]) -> None:
    page = opened(small / "data-sets/ml-100k.html")
    page.get_by_label("Only this loss").select_option("ce")
    assert column(page, "loss") == ["ce", "ce"]
    assert page.locator(".point.off").count() == 3
    assert page.locator(".matrix tbody tr").count() == 2
    page.get_by_role("searchbox").fill("SAS")
    assert column(page, "method") == ["sasrec"]
    assert "1 of 5 rows" in page.locator(".count").first.inner_text()
    page.get_by_role("searchbox").fill("nothing like it")
    assert column(page, "rank") == []


def test_columns_are_chosen(small: Path, opened: Callable[..., Any]) -> None:
    page = opened(small / "data-sets/ml-100k.html")
    head = page.locator("th[data-c='m:MRR@10']").first
    assert not head.is_visible()
    page.locator(".columns summary").first.click()
    page.get_by_label("MRR@10").check()
    assert head.is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_label("MRR@10").is_visible()


def test_parts_are_switched_in_place(committed: Path, section: Section, opened: Callable[..., Any]) -> None:
    page = opened(committed / "data-sets/ml-100k.html")
    whole = column(page, "m:NDCG@10")
    page.get_by_role("button", name="tail").first.click()
    page.wait_for_selector("#test-1 [data-part][aria-pressed=true]:has-text('tail')")
    shown = [float(v) for v in column(page, "m:NDCG@10")]
    assert shown == pytest.approx([row.parts["tail"] for row in section.rows], rel=1e-5)
    rows, cases = len(section.rows), section.parts["tail"]
    assert page.locator("#test-1 .count").inner_text().startswith(f"{rows} of {rows} rows. tail: {cases:,} cases")
    assert page.locator("#test-1 table.board svg.bar").first.is_visible()
    page.get_by_role("button", name="all").first.click()
    assert column(page, "m:NDCG@10") == whole


@pytest.mark.parametrize(("a", "b"), [(0, 4), (6, 2), (7, 0)])
def test_the_browser_compares_as_recbench_does(
    committed: Path, section: Section, opened: Callable[..., Any], a: int, b: int
) -> None:
    page = opened(committed / "data-sets/ml-100k.html")
    boxes = page.locator("#test-1 .pick input")
    boxes.nth(a).check()
    boxes.nth(b).check()
    result = page.wait_for_selector("#test-1 .dock .difference")
    pair = [section.rows[i].record.case_results() for i in (a, b)]
    wanted = compare(*pair, metric("NDCG@10").values)
    assert float(result.get_attribute("data-exact")) == pytest.approx(wanted.difference, abs=1e-15)
    said = page.locator("#test-1 .dock").inner_text()
    assert "not corrected" in said
    tested = section.tests[min(a, b), max(a, b)]
    assert f"the larger p, after Holm, is {p_text(tested.p_holm)} over {section.pairs} pairs" in said
    assert ("a difference is shown" in said) == tested.differs
    assert f"{wanted.wins}, {wanted.ties}, {wanted.losses}" in said
    # p and interval by the same function, in full
    found = page.evaluate(
        """async ([a, b]) => {
          const numbers = (key) => new Float64Array(Uint8Array.from(atob(key), (c) => c.charCodeAt(0)).buffer);
          const data = JSON.parse(document.querySelector('#test-1 .board-data').textContent);
          const seen = {};
          const put = recbench.put;
          recbench.put = (key, value) => { seen[key] = value; put(key, value); };
          for (const src of [data.file, data.values[a], data.values[b]]) {
            const script = document.createElement('script');
            script.src = src;
            await new Promise((done) => { script.onload = done; document.head.append(script); });
          }
          recbench.put = put;
          const [rest] = Object.values(seen).filter((value) => value.counts);
          return recbench.compare(numbers(seen[data.runs[a]]), numbers(seen[data.runs[b]]), numbers(rest.counts));
        }""",
        [a, b],
    )
    error = (wanted.p * (1 - wanted.p) * 2 / 9999) ** 0.5
    assert found["p"] == pytest.approx(wanted.p, abs=4 * error + 2e-4)
    width = wanted.interval[1] - wanted.interval[0]
    assert found["interval"] == pytest.approx(wanted.interval, abs=0.03 * width)
    assert found["byUser"] == pytest.approx(wanted.by_user, abs=1e-12)


def test_a_cell_of_the_matrix_opens_its_comparison(
    committed: Path, section: Section, opened: Callable[..., Any]
) -> None:
    page = opened(committed / "data-sets/ml-100k.html")
    last = section.rows[-1]
    page.locator("#test-1 .matrix tbody tr").nth(last.rank - 1).locator("td").nth(0).click()
    page.wait_for_selector("#test-1 .dock .difference")
    assert page.locator("#test-1 .pick input:checked").count() == 2
    assert page.locator("#test-1 .dock h3").inner_text().startswith(f"{last.rank}. {last.record.labels.method}")
    page.get_by_role("button", name="Clear").click()
    assert not page.locator("#test-1 .dock").is_visible()


def test_a_runs_page(small: Path, records: list[RunRecord], opened: Callable[..., Any]) -> None:
    page = opened(small / "data-sets/ml-100k.html")
    page.locator("table.board tbody th a").first.click()
    page.wait_for_selector("html.ready", state="attached")
    assert page.locator("h1").inner_text() == "llara + msl"
    assert page.locator("figure .plot").count() == 3
    page.locator("details:has(> summary:has-text('Spec')) summary").click()
    assert page.get_by_text("recommender.backbone.name").is_visible()
    page.get_by_role("button", name="Copy").first.click()
    page.wait_for_selector("button.copy:has-text('Copied'), button.copy:has-text('Selected')")


def test_light_and_dark(small: Path, opened: Callable[..., Any]) -> None:
    page = opened(small / "index.html", color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(paper) != dark
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(paper) == dark


def test_nothing_is_wider_than_a_phone(committed: Path, small: Path, opened: Callable[..., Any]) -> None:
    runs = [*(committed / "runs").glob("*sasrec*.html"), *(small / "runs").glob("*llara*.html")]
    for path in (committed / "index.html", committed / "data-sets/ml-100k.html", *runs):
        page = opened(path, width=390)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name


def test_hostile_records_run_nothing(
    hostile: list[RunRecord], keep: Keep, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    build(keep("hostile-browser", hostile), tmp_path)
    for path in sorted(tmp_path.rglob("*.html")):
        page = opened(path, width=390)
        boxes = page.locator(".pick input")
        for number in range(boxes.count()):
            boxes.nth(number).check()
        if boxes.count():
            page.wait_for_selector(".dock .difference")
            page.get_by_role("searchbox").fill("<script>")
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        page.mouse.move(100, 300)
        assert page.evaluate("window.attacked") is None
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
        assert page.evaluate("getComputedStyle(document.body).direction") == "ltr"
        page.context.close()


@pytest.mark.skipif(AXE is None, reason="AXE_CORE does not name a copy of axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(committed: Path, small: Path, chromium: Any, scheme: str) -> None:
    assert AXE is not None
    run = next((small / "runs").glob("*llara*.html"))
    # without the policy, which keeps even a test's script out
    context = chromium.new_context(bypass_csp=True, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    for path in (committed / "index.html", committed / "data-sets/ml-100k.html", run):
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("html.ready", state="attached")
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        if page.locator(".pick input").count() > 1:
            page.locator(".pick input").nth(0).check()
            page.locator(".pick input").nth(1).check()
            page.wait_for_selector(".dock .difference")
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run()")["violations"]
        told = [f"{one['impact']} {one['id']}: {[node['html'][:100] for node in one['nodes'][:3]]}" for one in found]
        assert not [line for line in told if line.startswith(("serious", "critical"))], path.name
        print(path.name, scheme, told)
    context.close()
