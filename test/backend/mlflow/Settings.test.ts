import { assert, describe, it } from "@effect/vitest"
import * as Settings from "../../../src/backend/mlflow/Settings.ts"

const uri = "https://tracking.example.org/base/"
const derived = { projectName: "ezpz.src.train", projectGiven: false }
const make = (environment: { readonly [name: string]: string }, project = derived) =>
  Settings.make({ MLFLOW_TRACKING_URI: uri, ...environment }, project)
const good = (settings: Settings.Settings | string): Settings.Settings => {
  if (typeof settings === "string") throw new Error(settings)
  return settings
}
const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`

describe("the server", () => {
  it("is the one that is named, and nothing is guessed", () => {
    assert.strictEqual(good(make({})).baseUrl, "https://tracking.example.org/base")
    for (const other of ["", "  ", "file:///tmp/mlruns", "sqlite:///mlflow.db", "./mlruns", "databricks", "https://"]) {
      const settings = make({ MLFLOW_TRACKING_URI: other })
      assert.isString(settings)
      assert.match(String(settings), /Set MLFLOW_TRACKING_URI to the address of an MLflow server/)
    }
  })
})

describe("the experiment", () => {
  it("is the caller's project, else what the environment says, else the script's", () => {
    const all = {
      MLFLOW_EXPERIMENT_ID: "7",
      MLFLOW_EXPERIMENT_NAME: "a",
      WB_PROJECT: "b",
      WANDB_PROJECT: "c",
      WB_PROJECT_NAME: "d"
    }
    const given = { projectName: "given", projectGiven: true }
    assert.deepStrictEqual(good(make(all, given)).experiment, {
      _tag: "Name",
      name: "given",
      from: "the project's name"
    })
    const left: { [name: string]: string } = { ...all }
    for (const [from, value] of Object.entries(all)) {
      assert.deepStrictEqual(
        good(make(left)).experiment,
        from === "MLFLOW_EXPERIMENT_ID" ? { _tag: "Id", id: value, from } : { _tag: "Name", name: value, from }
      )
      left[from] = ""
    }
    assert.deepStrictEqual(good(make(left)).experiment, { _tag: "Name", name: "ezpz.src.train", from: "the script" })
  })
})

describe("authentication", () => {
  it("is what MLflow's client would send", () => {
    const headers = (environment: { readonly [name: string]: string }) => good(make(environment)).headers
    const user = { MLFLOW_TRACKING_USERNAME: "me", MLFLOW_TRACKING_PASSWORD: "pässword" }
    assert.deepStrictEqual(headers({}), {})
    assert.deepStrictEqual(headers({ MLFLOW_TRACKING_TOKEN: "t" }), { authorization: "Bearer t" })
    assert.deepStrictEqual(headers({ ...user, MLFLOW_TRACKING_TOKEN: "t" }), { authorization: basic("me:pässword") })
    assert.deepStrictEqual(headers({ MLFLOW_TRACKING_USERNAME: "me", MLFLOW_TRACKING_TOKEN: "t" }), {
      authorization: "Bearer t"
    })
    assert.deepStrictEqual(headers({ AM_SC_API_KEY: "b", MLFLOW_TRACKING_TOKEN: "t" }), {
      authorization: "Bearer t",
      "x-api-key": "b"
    })
    assert.deepStrictEqual(headers({ AMSC_API_KEY: "a", AM_SC_API_KEY: "b" }), { "x-api-key": "a" })
    const inUri = good(make({ MLFLOW_TRACKING_URI: "http://me:p%40ss@host:5000" }))
    assert.strictEqual(inUri.baseUrl, "http://host:5000")
    assert.deepStrictEqual(inUri.headers, { authorization: basic("me:p@ss") })
    assert.include(inUri.secrets, "p@ss")
  })

  it("is described by the names of variables, never by their values", () => {
    const environment = {
      MLFLOW_TRACKING_URI: "http://me:marked-1@host:5000",
      MLFLOW_TRACKING_USERNAME: "marked-2",
      MLFLOW_TRACKING_PASSWORD: "marked-3",
      MLFLOW_TRACKING_TOKEN: "marked-4",
      AMSC_API_KEY: "marked-5",
      MLFLOW_TRACKING_INSECURE_TLS: "true",
      MLFLOW_EXPERIMENT_NAME: "e"
    }
    const description = Settings.describe(environment)
    assert.notInclude(JSON.stringify(description), "marked")
    assert.deepStrictEqual(description, {
      state: "ready",
      problem: undefined,
      trackingUri: "http://host:5000",
      experiment: "e (MLFLOW_EXPERIMENT_NAME)",
      authentication: ["MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (Basic)", "AMSC_API_KEY (X-API-Key)"],
      insecureTls: true,
      systemMetrics: true,
      warnings: ["MLFLOW_TRACKING_TOKEN is not used: there are a user and a password"]
    })
    const none = Settings.describe({ MLFLOW_TRACKING_TOKEN: "marked", MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING: "false" })
    assert.strictEqual(none.state, "unusable")
    assert.isFalse(none.systemMetrics)
    assert.match(none.problem ?? "", /MLFLOW_TRACKING_URI/)
    assert.notInclude(
      JSON.stringify(Settings.describe({ MLFLOW_TRACKING_URI: "postgresql://me:marked@host/db" })),
      "marked"
    )
  })
})
