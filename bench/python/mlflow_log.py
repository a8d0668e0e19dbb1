"""Logs records to an MLflow server in the ways MLflow's own client has, as often as it is told on stdin, and prints the
seconds each time: `log_metrics N` calls it once for each of N steps, `log_batch N` sends as much as a request takes.

    mlflow_log.py URL RECORDS    RECORDS: a file with a record of metrics on each line
"""
import json
import sys
import time

import mlflow
from mlflow.entities import Metric

url, path = sys.argv[1:]
with open(path) as file:
    records = [json.loads(line) for line in file]
mlflow.set_tracking_uri(url)
mlflow.set_experiment("python")
client = mlflow.MlflowClient()
run = mlflow.start_run().info.run_id
step = 0


def log_metrics(records):
    global step
    for record in records:
        mlflow.log_metrics(record, step=step)
        step += 1


def log_batch(records):
    global step
    most = 1000 // len(records[0])
    for start in range(0, len(records), most):
        now = int(time.time() * 1000)
        points = []
        for record in records[start : start + most]:
            points += [Metric(key, value, now, step) for key, value in record.items()]
            step += 1
        client.log_batch(run, metrics=points)


print("ready", flush=True)
for line in sys.stdin:
    how, count = line.split()
    given = [records[i % len(records)] for i in range(int(count))]
    start = time.perf_counter()
    {"log_metrics": log_metrics, "log_batch": log_batch}[how](given)
    print(time.perf_counter() - start, flush=True)
mlflow.end_run()
