"""Every built-in source keeps the contract."""

from pathlib import Path

import pytest

from recbench.testing import SourceTests


def rows() -> list[tuple[str, str, int, str]]:
    return [(f"u{u}", str(i), 100 * u + i, f"Film {i}") for u in range(6) for i in range(12)]


class TestCsv(SourceTests):
    name = "csv"

    def files(self, folder: Path) -> dict[str, str]:
        lines = ["user,item,timestamp,title", *(f"{u},{i},{t},{title}" for u, i, t, title in rows())]
        (folder / "mine.csv").write_text("\n".join(lines) + "\n")
        return {"file": str(folder / "mine.csv")}


class TestCsvWithTitlesApart(SourceTests):
    name = "csv"

    def files(self, folder: Path) -> dict[str, str]:
        lines = ["user,item,timestamp", *(f"{u},{i},{t}" for u, i, t, _ in rows())]
        (folder / "mine.csv").write_text("\n".join(lines) + "\n")
        titles = ["item,title", *(f"{i},Film {i}" for i in range(12))]
        (folder / "titles.csv").write_text("\n".join(titles) + "\n")
        return {"file": str(folder / "mine.csv"), "titles": str(folder / "titles.csv")}


class TestRecbole(SourceTests):
    name = "recbole"

    def files(self, folder: Path) -> dict[str, str]:
        lines = ["user_id:token\titem_id:token\ttimestamp:float", *(f"{u}\t{i}\t{t}" for u, i, t, _ in rows())]
        (folder / "mine.inter").write_text("\n".join(lines) + "\n")
        titles = ["item_id:token\ttitle:token_seq", *(f"{i}\tFilm {i}" for i in range(12))]
        (folder / "mine.item").write_text("\n".join(titles) + "\n")
        return {"dir": str(folder)}


class TestMl100k(SourceTests):
    name = "ml-100k"

    @pytest.fixture(autouse=True)
    def _needs_recbole(self) -> None:
        pytest.importorskip("recbole", reason="RecBole's wheel holds the data")
