"""A suite for Slurm, as a bash script: one job per missing step, after those that it needs; then one per cell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recbench.cells.planned import Planned, SuitePlan
from recbench.errors import DataError
from recbench.spec.options import MachineOptions
from recbench.steps.step import Step

LOGS = "slurm"
"""The folder for the jobs' output, inside the folder of runs."""
LEFT = "to do"
_ABOUT = """\
#!/bin/bash
# Made by recbench suite plan --format slurm. Gives Slurm a job for every step that is missing, then one for every cell.
# Options of sbatch go to all jobs: bash FILE --partition=NAME --time=8:00:00"""
_FUNCTIONS = """\
mkdir -p "$logs"
options=("$@")
declare -A jobs

# In a job: run a command, and put the job back into the queue if the command stopped and can continue.
guarded() {
  local program=$1 child code warned= cancelled=
  # Slurm warns this shell before the time limit. torchrun would die of the signal, the processes that it started write.
  trap 'warned=1; if [[ $program == torchrun ]]; then pkill -USR1 -P "$child"; else kill -USR1 "$child"; fi' USR1
  trap 'cancelled=1' TERM
  "$@" &
  child=$!
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do  # the signal ended the waiting, not the command
    wait "$child"; code=$?
  done
  # 75: there is a checkpoint. A step that keeps none begins again, but not for ever.
  if [[ -z $cancelled ]] && { [[ $code == 75 ]] || [[ $warned && $code != 0 && ${SLURM_RESTART_COUNT:-0} -lt 20 ]]; }
  then
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit "$code"
}

# submit NAME CPUS GPUS 'JOBS THAT COME FIRST' COMMAND...
submit() {
  local name=$1 own=(--job-name="$1" --cpus-per-task="$2") after= need
  if [[ $3 != 0 ]]; then own+=(--gres=gpu:"$3"); fi
  for need in $4; do after+=:${jobs[$need]}; done
  if [[ $after ]]; then own+=(--dependency=afterok"$after" --kill-on-invalid-dep=yes); fi
  shift 4
  own+=(--parsable --requeue --signal=B:USR1@120 --open-mode=append --output="$logs/%x-%j.txt")
  after=$(sbatch "${own[@]}" "${options[@]}" <<< "#!/bin/bash
$(declare -f guarded)
guarded $(printf '%q ' "$@")")
  jobs[$name]=${after%%;*}
}

ended() {
  if [[ $1 != 0 && ${#jobs[@]} != 0 ]]; then
    echo "Slurm refused a job: the ${#jobs[@]} jobs before it are cancelled" >&2
    scancel "${jobs[@]}"
  fi
}
trap 'ended $?' EXIT
"""
_END = """
echo "Slurm has ${#jobs[@]} jobs (squeue --me); what they print goes to $logs"
"""


@dataclass(frozen=True)
class Job:
    """A job of Slurm's.

    Attributes:
        name: a step's folder name, or ``cell-`` with the number and the letters of a cell's name.
        needs: names of the jobs that must succeed before it begins.
        cpus: threads that it computes with.
        gpus: GPUs that it computes on.
        words: its command.
    """

    name: str
    needs: tuple[str, ...]
    cpus: int
    gpus: int
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """The line of the script that submits it."""
        return shlex.join(["submit", self.name, str(self.cpus), str(self.gpus), " ".join(self.needs), *self.words])


def jobs(found: SuitePlan, cells: Iterable[tuple[int, Planned]], command: Sequence[str]) -> list[Job]:
    """The jobs of a plan, needs before what needs them.

    A step's command plans only one cell that needs the step: with thousands of cells, planning all of them in every
    job would take longer than many a step.

    Args:
        found: the plan; steps that are there get no job.
        cells: those that have no record yet, each with its number in the suite.
        command: ``recbench suite run`` with everything but ``--only`` and ``--step``.

    Raises:
        DataError: a stored step is damaged: every job that needs it would fail.
    """
    for look in found.steps:
        if look.state == "damaged":
            raise DataError(f"the stored step {look.step.folder} is damaged; remove its folder and plan again.")
    left = {look.step.folder: look.step for look in found.steps if look.state == LEFT}
    return [*_steps(found, left, command), *_cells(found, left, cells, command)]


def _steps(found: SuitePlan, left: dict[str, Step], command: Sequence[str]) -> Iterator[Job]:
    for folder, step in left.items():
        needs = tuple(sorted({need.folder for need in step.needs.values()} & left.keys()))
        more = ("--only", found.uses[folder][0], "--step", folder)
        cpus, gpus = _resources(step.machine)
        yield Job(folder, needs, cpus, gpus, (*_launch(step.machine), *command, *more))


def _cells(
    found: SuitePlan, left: dict[str, Step], cells: Iterable[tuple[int, Planned]], command: Sequence[str]
) -> Iterator[Job]:
    """A cell whose steps are all known only writes its record; one that is still to choose options trains too."""
    for number, one in cells:
        name = one.cell.name
        steps = [step for folder, step in left.items() if name in found.uses[folder]]
        inner = {need.folder for step in steps for need in step.needs.values()}
        last = tuple(step.folder for step in steps if step.folder not in inner)
        machine = one.plan.spec.machine if name in found.open else None
        cpus, gpus = _resources(machine)
        letters = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")[:60]
        yield Job(f"cell-{number}-{letters}", last, cpus, gpus, (*_launch(machine), *command, "--only", name))


def _resources(machine: MachineOptions | None) -> tuple[int, int]:
    if machine is None:
        return 1, 0
    return machine.threads, machine.processes if machine.device == "cuda" else 0


def _launch(machine: MachineOptions | None) -> list[str]:
    """What starts the processes of a training that several share."""
    if machine is None or machine.processes == 1:
        return []
    return ["torchrun", "--standalone", "--nproc_per_node", str(machine.processes), "-m"]


def script(found: Sequence[Job], folder: Path, runs: Path) -> str:
    """A bash script that submits jobs.

    Args:
        found: the jobs, needs first.
        folder: where relative paths begin.
        runs: folder of runs.
    """
    begin = [_ABOUT, "set -e", f"cd {shlex.quote(str(folder))}", f"logs={shlex.quote(str(runs / LOGS))}", _FUNCTIONS]
    return "\n".join([*begin, *(job.line for job in found), _END])
