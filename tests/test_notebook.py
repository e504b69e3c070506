"""The notebook runs from its first cell to its last, in a kernel of its own."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.ipynb"
nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[dev]'")
nbclient = pytest.importorskip("nbclient", reason="pip install -e '.[dev]'")


def test_the_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.id: cell.outputs for cell in book.cells if cell.cell_type == "code"}
    shown = {
        name: "".join(str(one.get("data", one.get("text", ""))) for one in found) for name, found in outputs.items()
    }
    assert "NDCG@10" in shown["cell-05"], "metrics() shows no table"
    assert shown["cell-07"].count("(19") >= 8, "two lists of five films each"
    assert "p (Holm)" in shown["cell-10"]
    assert "image/png" in shown["cell-12"], "the figure is not drawn"
    assert 0 < float(outputs["cell-14"][-1]["data"]["text/plain"]) < 0.1
