"""A training script in Python whose ranks are processes of a launcher. It imports nothing but the standard library, no
mpi4py, and each rank prints a JSON object per step:

    mpirun -n 4 sh -c 'python3 examples/train_mpi.py | ezpz-stream'
    srun -n 4 sh -c 'python3 examples/train_mpi.py | ezpz-stream'

`sh -c` matters: the pipe is made on each rank, not in front of all of them. Rank 0 prints the lines, with the spread across
ranks, and writes the run.

Ranks have data of their own, so their losses differ; the last rank is the slowest, and `train/dt/argmax` says so.
"""

import json
import math
import os
import random
import sys
import time


def told(*names, otherwise):
    """What the launcher says: mpirun (Open MPI, MPICH, PALS), srun, torchrun."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), otherwise)


rank = told("EZPZ_RANK", "RANK", "OMPI_COMM_WORLD_RANK", "PALS_RANKID", "PMI_RANK", "SLURM_PROCID", otherwise=0)
size = told("EZPZ_WORLD_SIZE", "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", otherwise=1)
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100
rng = random.Random(rank)

if rank == 0:
    print(f"fitting y = sin(x) with a cubic, {steps} steps on {size} ranks", file=sys.stderr)
w = [0.0, 0.0, 0.0, 0.0]
for step in range(1, steps + 1):
    started = time.perf_counter()
    lr = 0.05 * (1 - step / (steps + 1))
    gradient = [0.0] * 4
    loss = 0.0
    for _ in range(64):
        x = rng.uniform(-1.5, 1.5)
        error = sum(w[k] * x**k for k in range(4)) - math.sin(x)
        loss += error**2 / 64
        for k in range(4):
            gradient[k] += 2 * error * x**k / 64
    w = [w[k] - lr * gradient[k] for k in range(4)]
    time.sleep(0.02 if rank == size - 1 else 0.005)
    record = {"step": step, "train": {"loss": loss, "lr": lr, "dt": time.perf_counter() - started}}
    # Held-out points are looked at on rank 0 alone: that shifts nothing.
    if rank == 0 and step % 10 == 0:
        points = [i / 50 - 1 for i in range(101)]
        record["eval/loss"] = sum((sum(w[k] * x**k for k in range(4)) - math.sin(x)) ** 2 for x in points) / 101
    print(json.dumps(record), flush=True)
