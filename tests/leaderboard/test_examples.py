"""Histories and titles in committed records: not where the data set's licence or the user forbids them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recbench.data import catalog
from recbench.results import read


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The licence of ``--dataset csv`` forbids redistribution."""
    monkeypatch.setitem(catalog.datasets(), "csv", replace(catalog.dataset("csv"), examples=False))


def test_a_run_keeps_none_where_the_licence_forbids_it(board, forbidden) -> None:
    assert read(board.ours).examples is not None
    words = ("--model", "popularity", "--device", "cpu", "--dataset", "csv", "--data-dir", "own.csv", "--runs", "new")
    done = board.call("run", *words, "--set", "evaluate.cases=12")
    assert done.exit_code == 0, done.output
    assert read(next((board.folder / "new").glob("*/record.json"))).examples is None


def test_a_record_that_shows_them_is_named_and_loses_them_when_it_is_added(board, forbidden) -> None:
    said = board.verify(str(board.ours))
    assert said.exit_code == 1
    assert "it shows histories and titles of csv, whose licence forbids it" in said.output
    assert board.call("leaderboard", "add", "own-pop", "--records", "boards/records").exit_code == 0
    assert read(board.ours).examples is None
    assert board.verify(str(board.ours)).exit_code == 0
    assert (
        board.call("leaderboard", "build", "--records", "boards/records", "--out", "boards", "--check").exit_code == 0
    )
    assert board.call("site", "build", "--records", "boards/records", "--out", "site").exit_code == 0
    page = next((board.folder / "site").rglob(f"{board.ours.stem}*.html")).read_text()
    assert "holds no histories and titles" in page
    assert "Film 3" not in page


@pytest.mark.parametrize("command", ["add", "merge"])
def test_joined_records_lose_them_too(board, forbidden, command: str) -> None:
    source = "runs" if command == "merge" else "own-pop"
    flag = "--out" if command == "merge" else "--records"
    assert board.call("leaderboard", command, source, flag, "other").exit_code == 0
    assert read(next((board.folder / "other").glob("own-pop*.json"))).examples is None


def test_the_user_may_leave_them_out(board) -> None:
    words = ("leaderboard", "add", "own-pop", "--records", "boards/records")
    assert board.call(*words).exit_code == 0
    assert read(board.ours).examples is not None
    assert board.call(*words, "--no-examples").exit_code == 0
    assert read(board.ours).examples is None
    assert board.verify(str(board.ours)).exit_code == 0
    again = board.call("leaderboard", "merge", "runs", "boards/records", "--out", "boards/records")
    assert again.exit_code == 0, again.output
    assert read(board.ours).examples is None
    assert board.call("leaderboard", "merge", "runs", "--out", "other", "--no-examples").exit_code == 0
    assert read(next((board.folder / "other").glob("own-pop*.json"))).examples is None


def test_a_rerun_does_not_bring_them_back(board) -> None:
    assert board.call("leaderboard", "add", "own-pop", "--records", "boards/records", "--no-examples").exit_code == 0
    words = ("leaderboard", "rerun", "--records", "boards/records", "--data-dir", "own=own.csv", "--update")
    done = board.call(*words)
    assert "updated" in done.output, done.output
    assert read(board.ours).examples is None
