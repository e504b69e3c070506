"""The workflow for submitted records takes a record from a pull request, and its verdict is that of the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
STEPS = {
    step["name"]: step["run"]
    for step in yaml.safe_load((ROOT / ".github/workflows/submission.yml").read_text())["jobs"]["verify"]["steps"]
    if "name" in step
}
RECORD = "ml-100k-popularity-topk-cc0785cc.json"
OLD = "ml-100k-popularity-topk-200a2271.json"


def shell(script: str, folder: Path, **names: str) -> subprocess.CompletedProcess[str]:
    """A step of the workflow, or anything else, as GitHub runs it."""
    env = {**os.environ, "RUNNER_TEMP": str(folder.parent), "OMP_NUM_THREADS": "1", **names}
    env |= {f"GIT_{who}_{what}": "x@y.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("honest", [True, False])
def test_a_pull_request_is_verified_by_the_code_it_goes_to(tmp_path: Path, honest: bool) -> None:
    origin, checkout = tmp_path / "origin", tmp_path / "checkout"
    records = origin / "leaderboards/records"
    records.mkdir(parents=True)
    (records / OLD).write_text((ROOT / "leaderboards/records" / OLD).read_text())
    made = shell("git init -q -b main && git add . && git commit -qm base && git switch -qc change", origin)
    assert made.returncode == 0, made.stderr
    text = (ROOT / "leaderboards/records" / RECORD).read_text()
    (records / RECORD).write_text(text if honest else text.replace('"allowed as', '"excluded as'))
    (records / OLD).unlink()
    (origin / "evil.py").write_text("")
    submit = "git add -A && git commit -qm submission && git update-ref refs/pull/7/merge HEAD && git switch -q main"
    assert shell(submit, origin).returncode == 0
    assert shell(f"git clone -q {origin} {checkout}", tmp_path).returncode == 0
    (checkout / ".venv").symlink_to(Path(sys.prefix))
    taken = shell(STEPS["Take the records of the pull request"], checkout, NUMBER="7")
    assert taken.returncode == 0, taken.stderr
    assert f"A\tleaderboards/records/{RECORD}" in taken.stdout
    assert f"D\tleaderboards/records/{OLD}" in taken.stdout  # shown, not done
    assert (checkout / "leaderboards/records" / OLD).is_file()
    assert not (checkout / "evil.py").exists()
    verified = shell(STEPS["Verify them"], checkout)
    assert f"{RECORD}: {'agrees' if honest else 'DIFFERS'}" in verified.stdout, verified.stderr
    assert verified.returncode == (0 if honest else 1)
    if honest:
        shown = shell(STEPS["Show the page as it would be"], checkout, GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
        assert "built: leaderboards/ml-100k.md" in shown.stdout, shown.stderr


def test_a_pull_request_that_only_removes_records_brings_no_code(tmp_path: Path) -> None:
    origin, checkout = tmp_path / "origin", tmp_path / "checkout"
    records = origin / "leaderboards/records"
    records.mkdir(parents=True)
    for name in (OLD, RECORD):
        (records / name).write_text((ROOT / "leaderboards/records" / name).read_text())
    start = "git init -q -b main && git add . && git commit -qm base && git switch -qc change"
    assert shell(start, origin).returncode == 0
    (records / OLD).unlink()
    (origin / "evil.py").write_text("")
    submit = "git add -A && git commit -qm submission && git update-ref refs/pull/7/merge HEAD && git switch -q main"
    assert shell(submit, origin).returncode == 0
    assert shell(f"git clone -q {origin} {checkout}", tmp_path).returncode == 0
    taken = shell(STEPS["Take the records of the pull request"], checkout, NUMBER="7")
    assert taken.returncode == 0, taken.stderr
    assert not (checkout / "evil.py").exists()
    assert (checkout / "leaderboards/records" / OLD).is_file()
