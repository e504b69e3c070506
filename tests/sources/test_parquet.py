"""The source parquet: a prepared folder, and what is wrong with one that somebody changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbench import planning
from recbench.data.audit import audit
from recbench.data.raw.folder import write_folder
from recbench.data.raw.preparation import Result
from recbench.errors import DataError, UsageError
from recbench.files import sha256_file
from recbench.interfaces import SilentReporter
from recbench.spec.request import Request
from recbench_plugins.sources.csv import Csv, CsvOptions
from recbench_plugins.sources.parquet import Parquet, ParquetOptions

ROWS = [(u, i, 10 * u + i) for u in range(8) for i in range(6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    user, item, time = (np.array(column) for column in zip(*ROWS, strict=True))
    names, titles = [str(i) for i in range(6)], [f"T{i}" for i in range(6)]
    result = Result([f"u{u}" for u in range(8)], names, titles, user, item, time, {"interactions": 48})
    write_folder(tmp_path / "out", result, {"name": "mine"})
    return tmp_path / "out"


def run(folder: Path | str, **options):
    return Parquet(ParquetOptions(dir=str(folder), **options)).prepare(SilentReporter())


def test_it_gives_what_the_same_rows_as_csv_give(folder, tmp_path):
    lines = ["user,item,timestamp,title", *(f"u{u},{i},{t},T{i}" for u, i, t in ROWS)]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    csv = Csv(CsvOptions(file=str(tmp_path / "own.csv"))).prepare(SilentReporter())
    split = run(folder)
    assert (split.catalog, split.users) == (csv.catalog, csv.users)
    for part in ("train", "valid", "test"):
        assert getattr(split, part).digest() == getattr(csv, part).digest()
        assert getattr(split, part).time.tolist() == getattr(csv, part).time.tolist()
    assert split.facts["prepared_interactions"] == 48
    audit(split)


def replaced(folder: Path, name: str, table: pa.Table) -> None:
    """Another table, as if the manifest had always described it."""
    pq.write_table(table, folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["outputs"][name]["sha256"] = sha256_file(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_changed_files_are_named(folder):
    table = pq.read_table(folder / "items.parquet")
    pq.write_table(table.slice(0, 5), folder / "items.parquet")
    with pytest.raises(DataError, match=r"items\.parquet is not the file that its manifest describes"):
        run(folder)
    replaced(folder, "items.parquet", table.slice(0, 5))
    with pytest.raises(DataError, match=r"interactions\.parquet, row 6: item '5' has no title in items\.parquet"):
        run(folder)
    replaced(folder, "items.parquet", table.rename_columns(["item", "name"]))
    with pytest.raises(DataError, match=r"items\.parquet has no column 'title': it has item, name"):
        run(folder)
    replaced(folder, "items.parquet", pa.table({"item": ["1"], "title": pa.array([None], pa.string())}))
    with pytest.raises(DataError, match=r"items\.parquet: the column 'title' has empty values"):
        run(folder)
    replaced(folder, "items.parquet", pa.table({"item": [1], "title": ["a"]}))
    with pytest.raises(DataError, match=r"items\.parquet: the column 'item' .*is int64"):
        run(folder)
    for text, message in (("{}", "is not a manifest of format 1"), ('{"format": 1}', "lacks counts or outputs")):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=rf"manifest\.json {message}"):
            run(folder)


def test_where_it_is(folder, tmp_path):
    with pytest.raises(UsageError, match="needs --data-dir: a folder that recbench data prepare wrote"):
        run("")
    with pytest.raises(DataError, match="none is not a directory"):
        run(tmp_path / "none")
    with pytest.raises(DataError, match="the 9-core leaves none of 48 interactions"):
        run(folder, core=9)


def test_a_folder_of_another_data_set_is_refused(folder):
    def planned(dataset):
        return planning.plan(Request(model="popularity", dataset=dataset, data_dir=str(folder), device="cpu"))

    manifest = json.loads((folder / "manifest.json").read_text())
    assert planned("parquet").spec.dataset.called == "out"  # called mine, which datasets.yaml does not know
    (folder / "manifest.json").write_text(json.dumps({**manifest, "name": "ml-1m"}))
    with pytest.raises(UsageError, match=r"holds ml-1m, as .* wrote it, not steam: use --dataset ml-1m"):
        planned("steam")
    assert planned("ml-1m").spec.dataset.name == "ml-1m"
    assert planned("parquet").spec.dataset.name == "parquet"


def test_windows_as_released_are_pointed_to_their_source(tmp_path):
    (tmp_path / "test.csv").write_text("user_id,item_ids,timestamp\n")
    with pytest.raises(DataError, match="holds windows as released, which are read with --dataset prepared"):
        Parquet(ParquetOptions(dir=str(tmp_path))).inputs()
