"""Every built-in source keeps the contract."""

from pathlib import Path

import pytest

from recbench.data.raw.folder import write_folder
from recbench.data.raw.layouts import layout
from recbench.data.raw.preparation import Steps, prepared
from recbench.interfaces import SilentReporter
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


class TestParquet(SourceTests):
    name = "parquet"

    def files(self, folder: Path) -> dict[str, str]:
        ratings = ["userId,movieId,rating,timestamp", *(f"{u},{i},5,{t}" for u, i, t, _ in rows())]
        (folder / "ratings.csv").write_text("\n".join(ratings) + "\n")
        movies = ["movieId,title", *(f"{i},{title}" for i, title in {i: t for _, i, _, t in rows()}.items())]
        (folder / "movies.csv").write_text("\n".join(movies) + "\n")
        paths = [folder / "ratings.csv", folder / "movies.csv"]
        result = prepared(layout("movielens-csv"), paths, Steps(), SilentReporter())
        write_folder(folder / "out", result, {"name": "mine"})
        for path in paths:
            path.unlink()
        return {"dir": str(folder / "out")}


class TestMl100k(SourceTests):
    name = "ml-100k"

    @pytest.fixture(autouse=True)
    def _needs_recbole(self) -> None:
        pytest.importorskip("recbole", reason="RecBole's wheel holds the data")
