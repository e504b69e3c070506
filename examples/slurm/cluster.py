"""Run a command of recbench on Dask workers that are Slurm jobs: ``python cluster.py 8 recbench suite run table5``.

Edit what a job asks for, and tell Dask the same.
"""

import subprocess
import sys

from dask_jobqueue import SLURMCluster

count, command = int(sys.argv[1]), sys.argv[2:]
resources = ["--resources", "threads=2", "--memory-limit", "0"]  # with a GPU: threads=2,GPU=1
jobs = {"walltime": "08:00:00", "job_cpu": 2, "memory": "8GB"}  # also: queue="gpu", job_extra_directives=["--gpus=1"]
with SLURMCluster(cores=1, processes=1, worker_extra_args=resources, **jobs) as cluster:
    cluster.scale(jobs=count)
    cluster.wait_for_workers(1)
    sys.exit(subprocess.run([*command, "--scheduler", cluster.scheduler_address]).returncode)
