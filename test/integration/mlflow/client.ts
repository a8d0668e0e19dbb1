/** What a server has, as MLflow's own Python client reads it. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import * as Python from "../python.ts"
import { requirements, type Server } from "./server.ts"

/** A point: numbers that are not finite come as text. */
export type Point = readonly [step: string, millis: number, value: number | string]

export interface Run {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly start: number
  readonly end: number | null
  readonly experimentId: string
  readonly params: { readonly [key: string]: string }
  readonly tags: { readonly [key: string]: string }
  readonly latest: { readonly [key: string]: number | string }
  /** In order of steps and times. */
  readonly metrics: { readonly [key: string]: ReadonlyArray<Point> }
  /** By path, in base64. */
  readonly artifacts: { readonly [path: string]: string }
}

const script = `
import base64, json, math, pathlib, sys, tempfile
from mlflow import MlflowClient
from mlflow.entities import ViewType
client = MlflowClient(sys.argv[1])
text = lambda v: v if math.isfinite(v) else str(v)
def files(run, path=None):
    for item in client.list_artifacts(run, path):
        if item.is_dir: yield from files(run, item.path)
        else: yield item.path
def content(run, path):
    with tempfile.TemporaryDirectory() as there:
        return base64.b64encode(pathlib.Path(client.download_artifacts(run, path, there)).read_bytes()).decode()
def show(run):
    i, d = run.info, run.data
    history = lambda key: sorted([m.step, m.timestamp, text(m.value)] for m in client.get_metric_history(i.run_id, key))
    return dict(id=i.run_id, name=i.run_name, status=i.status, start=i.start_time, end=i.end_time,
        experimentId=i.experiment_id, params=d.params, tags=d.tags,
        latest={k: text(v) for k, v in d.metrics.items()},
        metrics={k: [[str(s), t, v] for s, t, v in history(k)] for k in d.metrics},
        artifacts={p: content(i.run_id, p) for p in files(i.run_id)} if sys.argv[3] == "artifacts" else {})
experiment = client.get_experiment_by_name(sys.argv[2])
runs = [] if experiment is None else client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
print(json.dumps([show(run) for run in runs]))
`

/** The runs of an experiment. */
export const runs = async (
  server: Server,
  experiment: string,
  artifacts: "artifacts" | "no artifacts" = "no artifacts"
): Promise<ReadonlyArray<Run>> => JSON.parse(await python(script, server.url, experiment, artifacts))

/** Runs a script and gives what it prints. */
export const python = async (script: string, ...args: ReadonlyArray<string>): Promise<string> =>
  (await promisify(execFile)(await Python.python(requirements), ["-W", "ignore", "-c", script, ...args], {
    maxBuffer: 1 << 28,
    env: { ...process.env, MLFLOW_DISABLE_TELEMETRY: "true", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR: "false" }
  })).stdout
