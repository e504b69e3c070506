"""``suite plan --format slurm``: valid bash, the plan's graph as dependencies, and jobs that end with all records."""

from __future__ import annotations

import json
import os
import shlex
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from children import Child
from recbench.results import read

AWKWARD = ['it\'s "quoted", with a $(touch hurt) `touch hurt`', "a; touch hurt & b\\", "naïve 'ünïcode' *"]
SUITE = f"""
defaults:
  dataset: csv
  data_dir: own.csv
  device: cpu
  set: {{evaluate: {{cases: 8, validation_cases: 4}}, machine: {{threads: 1}}}}
cells:
  - {{model: popularity, name: {json.dumps(AWKWARD[0])}}}
  - {{model: popularity, set: {{evaluate: {{depth: 20}}}}, name: {json.dumps(AWKWARD[1])}}}
  - {{model: sasrec, epochs: 1, train_samples: 32, grid: {{backbone.hidden: [8, 16]}}, name: {json.dumps(AWKWARD[2])}}}
"""
# keeps its arguments and the job; with RUNS_JOBS it runs the job at once, if all jobs before it went well
SBATCH = r"""#!/bin/bash
set -e
cd "$FAKE"
number=$(($(ls | grep -c '^args' || true) + 1))
[ "$number" != "$FAIL_AT" ] || { echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }
printf '%s\0' "$@" > "args$number"
cat > "job$number"
cd - >/dev/null
if [ -n "$RUNS_JOBS" ]; then
  for arg in "$@"; do
    case $arg in --dependency=afterok:*)
      for id in $(tr : ' ' <<< "${arg#--dependency=afterok:}"); do [ "$(cat "$FAKE/code$id")" = 0 ]; done
    esac
  done
  SLURM_JOB_ID=$number bash "$FAKE/job$number" >&2 && echo 0 > "$FAKE/code$number" || echo $? > "$FAKE/code$number"
fi
echo "$number;cluster"
"""

# has the tests' process run the command
RECBENCH = r"""#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/%d
{ echo $(($# + 1)); printf '%%s\0' "$PWD" "$@"; } >&3
read -r code <&3
cat <&3 >&2
exit "$code"
"""


class Runs(socketserver.StreamRequestHandler):
    """Runs the command of a job's script."""

    def handle(self) -> None:
        count, words = int(self.rfile.readline()), b""
        while words.count(b"\0") < count:
            words += self.rfile.read(1)
        folder, *rest = words.decode().split("\0")[:-1]
        child = Child(*rest, folder=Path(folder))
        self.wfile.write(f"{child.wait()}\n{child.stderr}".encode())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Runs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def slurm(tmp_path: Path, tools: SimpleNamespace, port: int) -> SimpleNamespace:
    """A folder with a suite, and a Slurm that is three small scripts."""
    folder, fake, path = tmp_path / "it's here", tmp_path / "fake", tmp_path / "bin"
    for one in (folder, fake, path):
        one.mkdir()
    tools.write_csv(folder / "own.csv")
    (folder / "my suite.yaml").write_text(SUITE)
    scripts = {
        "sbatch": SBATCH,
        "scancel": '#!/bin/bash\necho "$@" > "$FAKE/cancelled"\n',
        "scontrol": '#!/bin/bash\necho "$@" >> "$FAKE/requeued"\n',
        "recbench": RECBENCH % port,
    }
    for name, text in scripts.items():
        (path / name).write_text(text)
        (path / name).chmod(0o755)

    def plan(*more: str) -> Any:
        return tools.invoke(folder, "suite", "plan", "my suite.yaml", "--runs", "my runs", *more)

    def bash(script: str, *options: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        known = {"FAKE": str(fake), "FAIL_AT": "", "RUNS_JOBS": ""}
        environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", **known, **more}
        words = ["bash", "-s", "--", *options]
        done = subprocess.run(words, input=script, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done

    return SimpleNamespace(folder=folder, fake=fake, plan=plan, bash=bash)


def submitted(slurm: SimpleNamespace) -> list[SimpleNamespace]:
    """What sbatch was given, in order."""
    found = []
    for number in range(1, len(list(slurm.fake.glob("args*"))) + 1):
        args = (slurm.fake / f"args{number}").read_text().split("\0")[:-1]
        flags = dict(arg.removeprefix("--").partition("=")[::2] for arg in args)
        job = (slurm.fake / f"job{number}").read_text()
        needs = flags.get("dependency", "afterok").split(":")[1:]
        found.append(SimpleNamespace(args=args, name=flags["job-name"], needs=needs, job=job))
    return found


def words(job: str) -> list[str]:
    """The command in a job, as bash reads it."""
    last = job.rstrip("\n").rpartition("\nguarded ")[2]
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {last}"], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_the_dependencies_are_the_plans_graph(slurm: SimpleNamespace) -> None:
    rows = [json.loads(line) for line in slurm.plan("--format", "json").stdout.splitlines()]
    assert rows == [json.loads(line) for line in slurm.plan("--json").stdout.splitlines()]
    script = slurm.plan("--format", "slurm")
    assert script.exit_code == 0, script.output
    assert subprocess.run(["bash", "-n"], input=script.stdout, text=True).returncode == 0
    said = slurm.bash(script.stdout, "--partition=gpu", "--time=8:00:00").stdout
    found = submitted(slurm)
    assert f"Slurm has {len(found)} jobs" in said
    assert all(job.args[-2:] == ["--partition=gpu", "--time=8:00:00"] for job in found)
    assert all({"--requeue", "--signal=B:USR1@120"} <= set(job.args) for job in found)
    assert all(("--kill-on-invalid-dep=yes" in job.args) == bool(job.needs) for job in found)
    names = [job.name for job in found]
    graph = {job.name: {names[int(number) - 1] for number in job.needs} for job in found}
    assert {name: needs for name, needs in graph.items() if not name.startswith("cell-")} == {
        row["step"]: set(row["needs"]) for row in rows
    }
    before = dict(zip(names, range(len(names)), strict=True))
    assert all(before[need] < before[name] for name, needs in graph.items() for need in needs)

    def closure(name: str) -> set[str]:
        return graph[name].union(*(closure(need) for need in graph[name]))

    cells = [job for job in found if job.name.startswith("cell-")]
    for cell, job in zip(AWKWARD, cells, strict=True):
        assert closure(job.name) == {row["step"] for row in rows if cell in row["cells"]}
        assert words(job.job)[-2:] == ["--only", cell]
    assert not list(slurm.folder.rglob("hurt"))


def test_steps_on_a_gpu_ask_for_one_and_cells_whose_steps_are_known_do_not(slurm: SimpleNamespace) -> None:
    device = ["--device", "cuda", "--set", "machine.threads=3"]
    rows = [json.loads(line) for line in slurm.plan("--json", *device).stdout.splitlines()]
    slurm.bash(slurm.plan("--format", "slurm", *device).stdout)
    trained = {row["step"] for row in rows if "sasrec" in row["title"]}
    assert len(trained) == 4
    for job in submitted(slurm):
        computes = job.name in trained or job.name.startswith("cell-3")  # which has options to choose
        assert ("--gres=gpu:1" in job.args) == computes, job.name
        assert f"--cpus-per-task={3 if computes else 1}" in job.args, job.name
        assert words(job.job)[4:6] == ["--device", "cuda"]


def test_a_refused_job_cancels_those_before_it(slurm: SimpleNamespace) -> None:
    done = slurm.bash(slurm.plan("--format", "slurm").stdout, check=False, FAIL_AT="4")
    assert done.returncode != 0
    assert "QOSMaxSubmitJobPerUserLimit" in done.stderr
    assert "the 3 jobs before it are cancelled" in done.stderr
    assert sorted((slurm.fake / "cancelled").read_text().split()) == ["1", "2", "3"]


def test_the_jobs_write_all_records_and_then_nothing_is_left(slurm: SimpleNamespace) -> None:
    slurm.bash(slurm.plan("--format", "slurm", "--only", AWKWARD[0]).stdout, RUNS_JOBS="1")
    first = len(submitted(slurm))
    assert first == 4  # data, model, ranking, record
    slurm.bash(slurm.plan("--format", "slurm").stdout, RUNS_JOBS="1")
    again = submitted(slurm)[first:]
    assert not any(job.name.startswith(("prepare", "cell-1")) for job in again)
    assert {path.read_text() for path in slurm.fake.glob("code*")} == {"0\n"}
    cells = json.loads((slurm.folder / "my runs/suites/my suite-own.json").read_text())["cells"]
    assert list(cells) == AWKWARD
    for run in cells.values():
        assert read(slurm.folder / "my runs" / run / "record.json").seeds
    assert not list(slurm.folder.rglob("hurt"))
    nothing = slurm.plan("--format", "slurm")
    assert nothing.stdout == ""
    assert "nothing to do" in nothing.stderr
    (slurm.folder / "my runs" / cells[AWKWARD[1]] / "record.json").unlink()
    slurm.bash(slurm.plan("--format", "slurm").stdout)
    assert [job.name[:6] for job in submitted(slurm)[first + len(again) :]] == ["cell-2"]


@pytest.mark.parametrize(
    ("command", "signal", "code", "requeued"),
    [
        ("exit 0", "", 0, False),
        ("exit 1", "", 1, False),
        ("exit 75", "", 75, True),  # something else stopped it, and it has a checkpoint
        ("trap 'exit 75' USR1; touch up; while :; do sleep .05; done", "USR1", 75, True),
        ("touch up; exec sleep 20", "USR1", 138, True),  # warned where it keeps no checkpoint
        ("trap 'exit 0' USR1; touch up; while :; do sleep .05; done", "USR1", 0, False),  # it was done
        ("touch up; sleep 1; exit 75", "TERM", 75, False),  # the user cancelled it
    ],
)
def test_a_job_that_stops_goes_back_into_the_queue(
    slurm: SimpleNamespace, tmp_path: Path, command: str, signal: str, code: int, requeued: bool
) -> None:
    script = slurm.plan("--format", "slurm").stdout
    functions = script[script.index("guarded() {") : script.index("# submit NAME")]
    send = f"(until [ -e up ]; do sleep .05; done; kill -{signal} $$) &" if signal else ""
    done = slurm.bash(f"{functions}\n{send}\nguarded bash -c {shlex.quote(command)}", check=False, SLURM_JOB_ID="7")
    assert done.returncode == code, done.stderr
    assert (slurm.fake / "requeued").exists() == requeued
    assert not requeued or (slurm.fake / "requeued").read_text() == "requeue 7\n"
