#!/bin/bash
# A Slurm of one node, from Debian's packages, and a small suite on it: through sbatch and through dask-jobqueue.
#
# Run it as root in a Debian container, with recbench on the PATH:   bash benchmarks/slurm.sh [OUT.md]
# It installs slurm and munge, writes everything else under a temporary folder, and stops its daemons at the end.
# The suite runs three times: serially, by the script of `recbench suite plan --format slurm` (one job gets Slurm's
# warning, one is requeued by hand, both while they train), and by the workers of dask-jobqueue. Its ranks must agree.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${1:-/dev/stdout}")
python=$(head -1 "$(command -v recbench)" | cut -c3-)
base=$(mktemp -d /tmp/recbench-slurm-XXXX)
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
MinJobAge=300
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=60 State=UP
END
# Slurm 22.05 has no word for "none"; it needs no cgroup for what this file chooses
if [[ $(slurmctld -V) > "slurm-wlm 23.11" ]]; then plugin=disabled; else plugin=cgroup/v1; fi
echo "CgroupPlugin=$plugin" > "$base/cgroup.conf"

say "daemons"
setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --key-file="$base/munge/key" \
  --socket="$base/munge/socket" --pid-file="$base/munge/pid" --seed-file="$base/munge/seed" \
  --log-file="$base/munge/log" &
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
  seeds: 2
  epochs: 1
  train_samples: 320
  set:
    llm: {hidden: 32, layers: 1, vocabulary: 400}
    machine: {threads: 1}
    evaluate: {cases: 100, validation_cases: 50}
    train: {checkpoint_minutes: 0.02}
cells:
  - {model: popularity, epochs: null, train_samples: null}
  - {model: sasrec, epochs: 15, train_samples: null, name: "sasrec, long", set: {train: {patience: 0}}}
  - {model: bigrec, loss: lml, name: "bigrec's \"lml\""}
  - {model: bigrec, loss: msl, name: "bigrec + msl"}
  - {model: bigrec, loss: msl, decoder: exact, name: "bigrec + msl, exact"}
  - {model: bigrec, loss: lml, grid: {loss.tau: [1, 2]}, name: "tau $(chosen) on validation"}
END

ranks() {  # FOLDER: a digest of every cell's ranks, seed by seed
  "$python" - "$1" <<'END'
import hashlib, json, pathlib, sys

from recbench.results import read

runs = pathlib.Path(sys.argv[1])
for cell, run in json.loads((runs / "suites/small-own.json").read_text())["cells"].items():
    seeds = {seed.seed: hashlib.sha256(seed.ranks.tobytes()).hexdigest()[:12] for seed in read(runs / run / "record.json").seeds}
    print(cell, *(f"{seed}:{seeds[seed]}" for seed in sorted(seeds)), sep=" | ")
END
}

say "serial"
SECONDS=0
recbench suite run small.yaml --runs serial >serial.txt 2>&1
serial=$SECONDS

# ---- sbatch -------------------------------------------------------------------------------------------------------

state() { scontrol show job "$1" | grep -o "$2=[^ ]*" | head -1 | cut -d= -f2; }

training() {  # NUMBER: waits until a job of sasrec's, not disturbed before, has written a checkpoint; prints its number
  local id name
  for _ in {1..2000}; do
    while read -r id name; do
      if [[ $name == scoring-* && $id != "${1:-}" && -n $(ls "sbatch/steps/.checkpoints/$name" 2>/dev/null) ]]; then
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
jobs=$(squeue -h | wc -l)
first=$(training)
scancel --batch --signal=USR1 "$first"
say "job $first has Slurm's warning"
second=$(training "$first")
scontrol requeue "$second"
say "job $second is requeued"
while squeue -h | grep -q .; do sleep 2; done
sbatch=$SECONDS
squeue -t all -h -o '%j %T' | sort >states.txt
grep -v -c COMPLETED states.txt >&2 && exit 1
for id in "$first" "$second"; do
  grep -h 'stopped at\|going on' sbatch/slurm/*-"$id".txt || true
  echo "restarts: $(state "$id" Restarts)"
done >disturbed.txt
cat disturbed.txt >&2
recbench suite plan small.yaml --runs sbatch --format slurm 2>nothing.txt | wc -c >&2
cat nothing.txt >&2

# ---- dask-jobqueue ------------------------------------------------------------------------------------------------

say "dask-jobqueue"
sed -e 's/threads=2/threads=1/' -e 's/"job_cpu": 2, "memory": "8GB"/"job_cpu": 1, "memory": "2GB"/' \
  -e 's/08:00:00/00:20:00/' "$here/../examples/slurm/cluster.py" >cluster.py
SECONDS=0
PYTHONPATH=$base/jobqueue:${PYTHONPATH:-} "$python" cluster.py 2 recbench suite run small.yaml --runs dask >dask.txt 2>&1
dask=$SECONDS

# ---- what came of it ----------------------------------------------------------------------------------------------

for way in serial sbatch dask; do ranks "$way" >"$way.ranks"; done
cat serial.ranks >&2
same() { if cmp -s serial.ranks "$1.ranks"; then echo yes; else echo NO; fi; }
{
  echo "# A suite on Slurm"
  echo
  echo "Made by \`bash benchmarks/slurm.sh\`: $(slurmctld -V | tr - ' '), one node of two cores, $(wc -l <serial.ranks)"
  echo "cells, two seeds each. A job loads Python and torch anew, which is most of the time at a budget of seconds."
  echo
  echo "| way | jobs | seconds | same ranks as the serial run |"
  echo "| --- | ---: | ---: | --- |"
  echo "| \`recbench suite run\`, serial | | $serial | |"
  echo "| \`recbench suite plan --format slurm\`, sbatch | $jobs | $sbatch | $(same sbatch) |"
  echo "| dask-jobqueue, two workers | 2 | $dask | $(same dask) |"
  echo
  echo "All $jobs jobs ended as COMPLETED. Two of them were disturbed while they trained:"
  echo
  echo '```'
  cat disturbed.txt
  echo '```'
} >"$out"
[[ $(same sbatch) == yes && $(same dask) == yes ]]
