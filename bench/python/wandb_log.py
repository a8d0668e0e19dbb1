"""Logs records with W&B's own client in offline mode, as often as it is told on stdin, and prints the seconds each time:
what `log` takes of its caller's time, once for each of N steps. What the client's other process does is not counted.

    wandb_log.py RECORDS    RECORDS: a file with a record of metrics on each line
"""
import json
import sys
import time

import wandb

with open(sys.argv[1]) as file:
    records = [json.loads(line) for line in file]
# What is printed here is for who measures.
run = wandb.init(project="bench", mode="offline", settings=wandb.Settings(console="off", silent=True))

print("ready", flush=True)
for line in sys.stdin:
    given = [records[i % len(records)] for i in range(int(line))]
    start = time.perf_counter()
    for record in given:
        wandb.log(record)
    print(time.perf_counter() - start, flush=True)
run.finish()
