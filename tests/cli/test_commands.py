"""The commands on finished runs of a tiny data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from recbench.evaluation import seed_means
from recbench.pages import load_records
from recbench.results import Labels, read, write
from recbench.spec.options import PRESETS


def test_run_prints_metrics_record_and_page(done) -> None:
    out = done.results["text"].stdout
    assert "NDCG@10" in out
    assert "±" in out
    head, ndcg = (next(line for line in out.splitlines() if line.startswith(word)) for word in ("metric", "NDCG@10"))
    assert head.split("  ")[-1] == "seed 17"
    record = read(done.folder / "runs" / done.ids["text"] / "record.json")
    means = [(1 / np.log2(1 + seed.ranks[seed.ranks > 0])).sum() / len(seed.ranks) for seed in record.seeds]
    assert ndcg.split() == [
        "NDCG@10",
        f"{np.mean(means):.4f}",
        "±",
        f"{np.std(means, ddof=1):.4f}",
        *(f"{m:.4f}" for m in means),
    ]
    assert max(len(line) for line in out.splitlines() if line.startswith(("metric", "NDCG", "validation"))) <= 80
    assert (done.folder / "runs/pages/own.md").is_file()
    assert (done.folder / "runs/pages/own.html").is_file()
    assert f"runs/{done.ids['text']}/record.json" in out
    log = done.results["text"].stderr
    assert "epoch 1 of 1" in log
    assert "seed 17 (2 of 2)" in log


def test_a_finished_run_is_not_computed_again(done) -> None:
    before = (done.folder / "runs" / done.ids["text"] / "record.json").read_bytes()
    result = done.call(*done.args["text"])
    assert result.exit_code == 0
    assert result.stderr.count("finished before") == 2
    assert (done.folder / "runs" / done.ids["text"] / "record.json").read_bytes() == before


def test_a_broken_neighbour_is_reported_and_left_out(done, tmp_path: Path) -> None:
    broken = done.folder / "runs/zz-broken"
    broken.mkdir()
    (broken / "record.json").write_text("{")
    try:
        result = done.call(*done.args["few"])
    finally:
        shutil.rmtree(broken)
    assert result.exit_code == 0
    assert "zz-broken" in result.stderr


def test_dry_run_says_where_values_come_from_and_writes_nothing(call, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "model: bigrec\nloss: msl\ndataset: csv\ndata_dir: own.csv\nseeds: [3, 17]\nepochs: 4\nbatch_size: 8\n"
        "device: cpu\nset: {loss: {tau: 3}, llm: {hidden: 64}}\n"
    )
    before = sorted(tmp_path.rglob("*"))
    result = call("run", "--config", "x.yaml", "--epochs", "2", "--set", "llm.hidden=32", "--dry-run")
    assert result.exit_code == 0, result.output
    assert sorted(tmp_path.rglob("*")) == before
    lines = {" ".join(line.split()) for line in result.stdout.splitlines()}
    for line in (
        "epochs 2 --epochs",
        "batch_size 8 x.yaml, line 7",
        "tau 3.0 x.yaml, line 9",
        "hidden 32 --set",
        "name msl x.yaml, line 2",
        f"samples {PRESETS['cpu']['text']['samples']} preset cpu",
        "seeds 3, 17 (x.yaml, line 5)",
        "device cpu x.yaml, line 8",
        "seed 17 prepare to do, tokenizer to do, trie to do, model to do, rank to do",
    ):
        assert line in lines, result.stdout
    assert "rough rate" in result.stdout


def test_dry_run_knows_finished_steps(done) -> None:
    result = done.call(*done.args["text"], "--seeds", "3,18", "--dry-run")
    assert "tokenizer there, trie there, model there, rank there" in result.stdout
    assert "tokenizer there, trie there, model to do, rank to do" in result.stdout
    assert "finished steps of the same kind" in result.stdout


def test_data_prints_facts_and_stores_nothing(call, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = call("data", "csv", "--data-dir", "own.csv", "--set", "dataset.core=4")
    assert result.exit_code == 0, result.output
    assert "sha256 of own.csv" in result.stdout
    assert "train" in result.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_show_marks_the_target(done) -> None:
    path = done.folder / "runs" / done.ids["text"] / "record.json"
    result = next(s for s in read(path).seeds if s.seed == 17)
    hit = int((result.ranks > 0).argmax())
    out = done.call("show", done.ids["text"][:12], "--seed", "17", "--case", str(hit)).stdout
    assert "prompt  Film & " in out
    target = next(line for line in out.splitlines() if line.startswith("target"))[8:]
    marked = next(line for line in out.splitlines() if line.startswith("*")).split(maxsplit=2)
    assert marked[1] == str(result.ranks[hit])
    assert marked[2].startswith(target)
    assert f"rank    {result.ranks[hit]}" in out


def test_show_by_user_and_by_path(done) -> None:
    out = done.call("show", f"runs/{done.ids['few']}", "--limit", "1").stdout
    user = out.split("user ")[1].split()[0]
    again = done.call("show", f"runs/{done.ids['few']}", "--user", user)
    assert f"user {user}\n" in again.stdout
    assert "history" in out


def test_compare_two_and_more(done) -> None:
    a, b = done.ids["text"], done.ids["few"]
    two = done.call("compare", a, b, "--metric", "HR@10").stdout
    for label in ("A minus B", "95 % interval", "permutation p", "Holm", "effect size", "detectable", "users higher"):
        assert label in two
    assert "HR@10 of A" in two
    assert "(larger p; 1 comparison declared)" in two
    assert f"{two.splitlines()[0]}|{two.splitlines()[1]}" == f"A  {a}|B  {b}"
    record = f"runs/{b}/record.json"
    three = done.call("compare", b, a, record).stdout
    assert three.count("(larger p; 2 comparisons declared)") == 2
    assert max(map(len, three.splitlines())) <= 100


def test_compare_within_the_parts_of_a_slice(done) -> None:
    a, b = done.ids["text"], done.ids["few"]
    out = done.call("compare", a, b, b, "--slice", "head").stdout
    for letter in "BC":
        assert f"NDCG@10 of A and {letter} by head (Holm over 4 comparisons)" in out
    rows = [line.split() for line in out.splitlines() if line.startswith(("head ", "torso ", "tail "))]
    assert sum(int(row[1]) for row in rows) == 2 * 8
    assert max(map(len, out.splitlines())) <= 110
    refused = done.call("compare", a, b, "--slice", "haed")
    assert refused.exit_code == 2
    assert "There is no slice 'haed'; did you mean 'head'?" in refused.stderr


def differences(text: str) -> dict[str, str]:
    """``A minus B`` and so on -> the number."""
    return {line.rsplit(maxsplit=1)[0]: line.rsplit(maxsplit=1)[1] for line in text.splitlines() if " minus " in line}


def test_the_first_run_named_is_a_with_two_runs_and_with_more(done) -> None:
    a, b = done.ids["text"], done.ids["few"]
    two = differences(done.call("compare", a, b).stdout)
    three = differences(done.call("compare", a, b, a).stdout)
    swapped = differences(done.call("compare", b, a).stdout)
    assert list(two) == ["A minus B"]
    assert list(three) == ["A minus B", "A minus C"]
    assert two["A minus B"] == three["A minus B"]
    assert float(two["A minus B"]) == -float(swapped["A minus B"])
    assert float(three["A minus C"]) == 0


def test_compare_says_what_code_made_the_runs(done, tmp_path: Path) -> None:
    a, b = done.ids["text"], done.ids["few"]
    said = done.call("compare", a, b)
    assert "code of A:" in said.stdout
    assert "  backbone popularity: recbench-toolkit " in said.stdout
    assert "not the same code" not in said.stderr
    record = read(done.folder / "runs" / b / "record.json")
    plugins = tuple(plugin.model_copy(update={"code": "0" * 16}) for plugin in record.plugins)
    write(record.model_copy(update={"plugins": plugins}), tmp_path / "edited.json")
    warned = done.call("compare", b, str(tmp_path / "edited.json"))
    assert warned.exit_code == 0
    assert "backbone popularity was not the same code: " in warned.stderr


def test_compare_refuses_another_test_set_and_metrics_that_are_not_there(done) -> None:
    for words, sentence in (
        ((done.ids["text"], done.ids["popularity"]), "were evaluated on different test cases; compare runs of one"),
        ((done.ids["text"], done.ids["few"], "--metric", "coverage@10"), "coverage@10 is one number for a whole run"),
        ((done.ids["text"], done.ids["few"], "--metric", "NDCG@30"), "NDCG@30 needs lists of 30 items"),
        ((done.ids["text"], done.ids["few"], "--metric", "NDGC@10"), "did you mean 'NDCG@10'?"),
    ):
        refused = done.call("compare", *words)
        assert refused.exit_code == 2
        assert sentence in refused.stderr
        assert refused.stdout == ""


def test_table_cuts_labels_for_a_narrow_terminal_alone(done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = "recbole (model=GRU4Rec, settings={'hidden_size': 128})"
    record = read(done.folder / "runs" / done.ids["few"] / "record.json")
    write(record.model_copy(update={"labels": Labels(method=label)}), tmp_path / f"{record.run}.json")
    words = ("table", "own", "--records", str(tmp_path))
    assert label in done.call(*words).stdout  # into a pipe or a file
    for width, whole in ((80, False), (200, True)):
        monkeypatch.setattr("recbench.cli.table.terminal_width", lambda width=width: width)
        assert (label in done.call(*words).stdout) == whole
    assert "recbole (model=…" not in done.call(*words).stdout


def test_table_is_narrow_and_its_runs_can_be_named(done) -> None:
    out = done.call("table").stdout
    assert max(map(len, out.splitlines())) <= 100
    short = next(line for line in out.splitlines() if "bigrec" in line).split()[-1]
    assert done.ids["text"].endswith(short)
    assert done.call("show", short, "--limit", "1").exit_code == 0


def test_leaderboard_add_build_check_and_rerun(done, tmp_path: Path) -> None:
    records, out = tmp_path / "records", tmp_path / "pages"
    where = ["--records", str(records)]
    assert done.call("leaderboard", "add", done.ids["few"], done.ids["text"], *where).exit_code == 0
    assert len(load_records(records)) == 2
    assert done.call("leaderboard", "build", "--check", *where, "--out", str(out)).exit_code == 1
    assert not out.exists()
    assert done.call("leaderboard", "build", "--html", *where, "--out", str(out)).exit_code == 0
    assert done.call("leaderboard", "build", "--check", *where, "--out", str(out)).exit_code == 0
    (out / "own.md").write_text((out / "own.md").read_text() + "edited")
    differs = done.call("leaderboard", "build", "--check", *where, "--out", str(out))
    assert differs.exit_code == 1
    assert "own.md" in differs.stderr

    runs = ["--runs", str(tmp_path / "rerun")]
    skipped = done.call("leaderboard", "rerun", done.ids["few"], *where, *runs)
    assert skipped.exit_code == 1
    assert "--data-dir own=PATH" in skipped.stderr
    own = ["--data-dir", f"own={done.folder / 'own.csv'}"]
    before = {path: path.read_bytes() for path in records.iterdir()}
    result = done.call("leaderboard", "rerun", *where, *runs, *own)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("identical") == 2
    assert {path: path.read_bytes() for path in records.iterdir()} == before

    other = tmp_path / "other.csv"
    other.write_text((done.folder / "own.csv").read_text().replace("u1,", "v1,"))
    shutil.copy(other, tmp_path / "own.csv")
    runs = ["--runs", str(tmp_path / "changed")]
    changed = done.call("leaderboard", "rerun", done.ids["few"], *where, *runs, "--data-dir", f"own={tmp_path}/own.csv")
    assert changed.exit_code == 1
    assert "own.csv" in changed.stderr


def test_a_dirty_run_is_added_with_a_warning(done, tmp_path: Path) -> None:
    record = read(done.folder / "runs" / done.ids["few"] / "record.json")
    dirty = any(seed.environment.get("git_dirty") for seed in record.seeds)
    result = done.call("leaderboard", "add", done.ids["few"], "--records", str(tmp_path))
    assert result.exit_code == 0
    assert ("uncommitted" in result.stderr) == dirty


def test_list_and_describe(call) -> None:
    out = call("list").stdout
    for name in ("llara", "msl", "constrained_beam", "ml-100k", "recbench-toolkit", "datasets:"):
        assert name in out
    described = call("describe", "source", "csv").stdout
    assert "--set dataset." in described
    assert "window" in described
    assert "(preset)" in call("describe", "train").stdout
    assert "lora_rank" in call("describe", "llm", "pretrained").stdout


def test_records_name_their_steps(done) -> None:
    content = json.loads((done.folder / "runs" / done.ids["text"] / "record.json").read_text())
    steps = content["seeds"][0]["steps"]
    assert {step["phase"] for step in steps} == {"data", "training", "decoding"}
    rank = next(step["folder"] for step in steps if step["phase"] == "decoding")
    assert (done.folder / "runs/steps" / rank / "ranking.npz").is_file()


def test_a_collaborative_model_without_embeddings_is_refused(call) -> None:
    own = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", "--train-samples", "16", "--epochs", "1"]
    result = call("run", "--model", "llara", "--set", "backbone.collaborative=popularity", *own)
    assert result.exit_code == 2, result.output
    assert "collaborative=popularity cannot be used with llara" in result.stderr


def test_a_table_for_a_paper_marks_the_best_and_what_differs(done) -> None:
    rows = json.loads(done.call("table", "own", "--format", "json").stdout)
    assert {row["run"] for row in rows} == set(done.ids.values())
    best = max((row for row in rows if row["run"] != done.ids["few"]), key=lambda row: row["NDCG@10"])
    for row in rows:
        record = read(done.folder / "runs" / row["run"] / "record.json")
        assert row["NDCG@10"] == pytest.approx(float(seed_means(record.case_results())["NDCG@10"].mean()))
    table = done.call("table", "own", "--format", "csv").stdout.splitlines()
    assert table[0].split(",") == list(rows[0])
    assert len(table) == len(rows) + 1
    latex = done.call("table", "own", "--format", "latex").stdout
    assert r"\usepackage{booktabs}" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == len({row["cases"] for row in rows})
    if len({round(row["NDCG@10"], 4) for row in rows if row["cases"] == best["cases"]}) > 1:
        assert f"\\textbf{{{best['NDCG@10']:.4f}" in latex


def test_a_named_baseline_of_a_table(done) -> None:
    few = done.ids["few"]
    rows = json.loads(done.call("table", "own", "--format", "json", "--baseline", few).stdout)
    assert {row["baseline"] for row in rows} == {few, None}
    for row in rows:
        compared = row["baseline"] == few and row["run"] != few
        assert (row["p (Holm)"] is not None) == compared
        if compared:
            base = next(other for other in rows if other["run"] == few)
            assert row["NDCG@10 difference"] == pytest.approx(row["NDCG@10"] - base["NDCG@10"])
    assert "Unknown run" in done.call("table", "own", "--format", "csv", "--baseline", "nobody").stderr
    assert "--baseline does not apply to --format text" in done.call("table", "own", "--baseline", few).stderr


def test_a_table_of_committed_records(done) -> None:
    for words in (["add", done.ids["few"], "--records", "other/records"],):
        assert done.call("leaderboard", *words).exit_code == 0
    found = done.call("table", "--records", "other/records")
    assert found.exit_code == 0, found.output
    assert "page:" not in found.stdout
    assert "popularity" in found.stdout
