#!/bin/bash
# A Slurm of one node, from Debian's packages, and a small suite on it: through sbatch and through dask-jobqueue.
#
# Run it as root in a Debian container, with recbench on the PATH:   bash benchmarks/slurm.sh [OUT.md]
# It installs slurm and munge, writes everything else under a temporary folder, and stops its daemons at the end.
# The suite runs three times: serially, by the script of `recbench suite plan --format slurm`, and by the workers of
# dask-jobqueue. Its ranks must agree. While they train, one job gets Slurm's warning and one is requeued by hand; then
# one cell runs again, a job of it is cancelled, and a second script does what is left.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${1:-/dev/stdout}")
python=$(head -1 "$(command -v recbench)" | cut -c3-)
base=$(mktemp -d -t recbench-slurm-XXXX)
chmod 755 "$base"
daemons=()

stop() {
  local code=$?
  if [[ ${#daemons[@]} != 0 ]]; then kill "${daemons[@]}" 2>/dev/null || true; wait 2>/dev/null || true; fi
  if [[ $code == 0 ]]; then rm -rf "$base"; else echo "failed; logs are in $base" >&2; fi
}
trap stop EXIT

say() { echo "$(date +%T) $*" >&2; }

# ---- Slurm ------------------------------------------------------------------------------------------------------

say "packages"
if ! command -v slurmctld munged slurmd sbatch >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurmctld slurmd slurm-client munge >&2
fi
"$python" -m pip install -q --no-deps --target "$base/jobqueue" dask-jobqueue==0.9.0 >&2

mkdir -p "$base"/{munge,state,spool,log}
chown munge: "$base/munge"
chmod 700 "$base/munge"
dd if=/dev/urandom of="$base/munge/key" bs=128 count=1 status=none
chown munge: "$base/munge/key"
chmod 400 "$base/munge/key"
export SLURM_CONF=$base/slurm.conf
host=$(hostname -s)
cat > "$SLURM_CONF" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$base/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool
SlurmctldPidFile=$base/slurmctld.pid
SlurmdPidFile=$base/slurmd.pid
SlurmctldLogFile=$base/log/slurmctld
SlurmdLogFile=$base/log/slurmd
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
KillWait=20
MinJobAge=7200
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=60 State=UP
END
# Slurm 22.05 has no word for "none"; it needs no cgroup for what this file chooses
if [[ $(slurmctld -V) > "slurm-wlm 23.11" ]]; then plugin=disabled; else plugin=cgroup/v1; fi
echo "CgroupPlugin=$plugin" > "$base/cgroup.conf"

say "daemons"
setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --key-file="$base/munge/key" \
  --socket="$base/munge/socket" --pid-file="$base/munge/pid" --seed-file="$base/munge/seed" \
  --log-file="$base/munge/log" >"$base/log/munged" 2>&1 &
daemons+=($!)
chmod 755 "$base/munge"
sleep 1
slurmctld -D -c >"$base/log/ctld.out" 2>&1 &
daemons+=($!)
slurmd -D -N "$host" >"$base/log/slurmd.out" 2>&1 &
daemons+=($!)
for _ in {1..15}; do
  if sinfo -h -o %t 2>/dev/null | grep -q idle; then break; fi
  sleep 1
done
sinfo >&2
sinfo -h -o %t | grep -q idle

# ---- the suite ---------------------------------------------------------------------------------------------------

mkdir "$base/work"
cd "$base/work"
"$python" - <<'END'
import random

draw = random.Random(1)
rows = ["user,item,timestamp,title"]
for user in range(150):
    start = draw.randrange(120)
    items = [(start + step * draw.choice((1, 1, 1, 2, 3)) * (1 + user % 3)) % 120 for step in range(40)]
    rows += [f"u{user},i{item},{1000 + 60 * at + user},Film {item}" for at, item in enumerate(dict.fromkeys(items))]
open("own.csv", "w").write("\n".join(rows) + "\n")
END
cat > small.yaml <<'END'
title: Six cells at a budget of seconds
defaults:
  dataset: csv
  data_dir: own.csv
  device: cpu
  epochs: 1
  train_samples: 320
  set:
    llm: {hidden: 32, layers: 1, vocabulary: 400}
    machine: {threads: 1}
    evaluate: {cases: 100, validation_cases: 50}
    train: {checkpoint_minutes: 0.02}
cells:
  - {model: popularity, epochs: null, train_samples: null}
  - {model: sasrec, epochs: 15, train_samples: null, seeds: 2, name: "sasrec, long", set: {train: {patience: 0}}}
  - {model: bigrec, loss: lml, name: "bigrec's \"lml\""}
  - {model: bigrec, loss: msl, name: "bigrec + msl"}
  - {model: bigrec, loss: msl, decoder: exact, name: "bigrec + msl, exact"}
  - {model: bigrec, loss: lml, grid: {loss.tau: [1, 2]}, name: "tau $(chosen) on validation"}
END

ranks() {  # FOLDER: a digest of every cell's ranks, seed by seed
  "$python" - "$1" <<'END'
import hashlib
import json
import pathlib
import sys

from recbench.results import read

runs = pathlib.Path(sys.argv[1])
for cell, run in json.loads((runs / "suites/small-own.json").read_text())["cells"].items():
    for seed in sorted(read(runs / run / "record.json").seeds, key=lambda seed: seed.seed):
        print(cell, seed.seed, hashlib.sha256(seed.ranks.tobytes()).hexdigest()[:12], sep=" | ")
END
}

say "serial"
SECONDS=0
recbench suite run small.yaml --runs serial >serial.txt 2>&1
serial=$SECONDS

# ---- sbatch -------------------------------------------------------------------------------------------------------

state() { scontrol show job "$1" | grep -o "$2=[^ ]*" | head -1 | cut -d= -f2; }

training() {  # RUNS [NUMBER]: waits until a job other than NUMBER has written a checkpoint; prints the job's number
  local id name
  for _ in {1..2000}; do
    while read -r id name; do
      if [[ $name == scoring-* && $id != "${2:-}" && -n $(ls "$1/steps/.checkpoints/$name" 2>/dev/null) ]]; then
        echo "$id"
        return
      fi
    done < <(squeue -h -t R -o "%i %j")
    sleep 0.2
  done
  return 1
}

say "sbatch"
recbench suite plan small.yaml --runs sbatch --format slurm >jobs.sh
SECONDS=0
bash jobs.sh --time=10 >submitted.txt
cat submitted.txt >&2
jobs=$(grep -c '^submit ' jobs.sh)
first=$(training sbatch)
scancel --batch --signal=USR1 "$first"
say "job $first has Slurm's warning"
second=$(training sbatch "$first")
scontrol requeue "$second"
say "job $second is requeued"
drained() { while squeue -h | grep -q .; do sleep 2; done; }
drained
sbatch=$SECONDS
squeue -t all -h -o '%T' | sort | uniq -c >states.txt
tail -n 9 states.txt >&2
grep -q "^ *$jobs COMPLETED$" states.txt
printed() { sed -n 's/^[0-9:]* *\(recbench: stopped at\|continuing after\)/\1/p' "$1"/slurm/scoring-*-"$2".txt; }
{
  echo "warned (USR1), requeued by the job itself, restarts: $(state "$first" Restarts)"
  printed sbatch "$first"
  echo "requeued by scontrol, restarts: $(state "$second" Restarts)"
  printed sbatch "$second"
} >disturbed.txt
recbench suite plan small.yaml --runs sbatch --format slurm >nothing.sh
[[ ! -s nothing.sh ]]

say "a job is cancelled"
recbench suite plan small.yaml --runs again --only "sasrec, long" --format slurm >jobs.sh
bash jobs.sh --time=10 >&2
third=$(training again)
scancel "$third"
drained
recbench suite plan small.yaml --runs again --only "sasrec, long" --format slurm >jobs.sh
{
  echo "cancelled by scancel: $(state "$third" JobState), restarts: $(state "$third" Restarts)"
  printed again "$third"
  echo "jobs that Slurm cancelled because they needed it: $(squeue -t CA -h -o %i | grep -v -c "^$third$")"
  echo "jobs of the next script: $(grep -c '^submit ' jobs.sh)"
} >>disturbed.txt
bash jobs.sh --time=10 >&2
drained
sed -n 's/^[0-9:]* *continuing after/continuing after/p' again/slurm/scoring-*.txt >>disturbed.txt
cat disturbed.txt >&2

# ---- dask-jobqueue ------------------------------------------------------------------------------------------------

say "dask-jobqueue"
sed -e 's/threads=2/threads=1/' -e 's/"job_cpu": 2, "memory": "8GB"/"job_cpu": 1, "memory": "2GB"/' \
  -e 's/08:00:00/00:30:00/' "$here/../examples/slurm/cluster.py" >cluster.py
SECONDS=0
export PYTHONPATH=$base/jobqueue:${PYTHONPATH:-}
"$python" cluster.py 2 recbench suite run small.yaml --runs dask >dask.txt 2>&1
dask=$SECONDS

# ---- what came of it ----------------------------------------------------------------------------------------------

for way in serial sbatch again dask; do ranks "$way" >"$way.ranks"; done
cat serial.ranks >&2
same() { if diff -q "${2:-serial.ranks}" "$1.ranks" >/dev/null; then echo yes; else echo NO; fi; }
grep "^sasrec, long" serial.ranks >one.ranks
{
  echo "# A suite on Slurm"
  echo
  echo "Made by \`bash benchmarks/slurm.sh\`: $(slurmctld -V), one node with two cores, $(grep -c model: small.yaml) cells."
  echo "Every job loads Python and torch again, which takes most of the time at a budget of seconds. The cores had"
  echo "other work too, so the seconds tell little."
  echo
  echo "| way | jobs | seconds | same ranks as the serial run |"
  echo "| --- | ---: | ---: | --- |"
  echo "| \`recbench suite run\` | | $serial | |"
  echo "| \`recbench suite plan --format slurm\` | $jobs | $sbatch | $(same sbatch) |"
  echo "| one cell, a job of it cancelled, planned again | | | $(same again one.ranks) |"
  echo "| dask-jobqueue, two workers | 2 | $dask | $(same dask) |"
  echo
  echo "All $jobs jobs ended as COMPLETED. What happened to the jobs that were disturbed while they trained:"
  echo
  echo '```'
  cat disturbed.txt
  echo '```'
} >"$out"
[[ $(same sbatch)$(same again one.ranks)$(same dask) == yesyesyes ]]
