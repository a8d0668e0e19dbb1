/**
 * Where records go, and how the way there is opened: what the environment says, in MLflow's own variables.
 *
 * - MLFLOW_TRACKING_URI: a server, `http://` or `https://`. There is no default, and no other kind of place: files and
 *   databases have one writer, MLflow itself. A user and a password in it are sent as MLFLOW_TRACKING_USERNAME and
 *   MLFLOW_TRACKING_PASSWORD are.
 * - MLFLOW_TRACKING_USERNAME with MLFLOW_TRACKING_PASSWORD (Basic), else MLFLOW_TRACKING_TOKEN (Bearer): in this order,
 *   as MLflow's client has it. AMSC_API_KEY, else AM_SC_API_KEY, is sent as X-API-Key, alone or beside them.
 * - MLFLOW_TRACKING_INSECURE_TLS: certificates are not checked.
 * - The experiment: the project if the caller named it, else MLFLOW_EXPERIMENT_ID, MLFLOW_EXPERIMENT_NAME, WB_PROJECT,
 *   WANDB_PROJECT, WB_PROJECT_NAME, else the project as it is derived from the script.
 * - MLFLOW_RUN_NAME: the run's name, if the caller gave none.
 * - MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING: `false` turns the machine's metrics off.
 *
 * @since 0.2.0
 */
import type { Environment } from "../../Rank.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What the environment says.
 *
 * @category models
 * @since 0.2.0
 */
export interface Settings {
  /** Without a slash at the end, and without a user. */
  readonly baseUrl: string
  readonly headers: { readonly [name: string]: string }
  readonly secrets: ReadonlyArray<string>
  readonly insecureTls: boolean
  /** A file of the authorities that the server's certificate is checked by. */
  readonly caFile: string | undefined
  readonly experiment: Experiment
  readonly runName: string | undefined
  readonly systemMetrics: boolean
  /** Variables that are set and do not take effect. */
  readonly warnings: ReadonlyArray<string>
}

/**
 * An experiment, by one of its two names, and where that comes from.
 *
 * @category models
 * @since 0.2.0
 */
export type Experiment =
  | { readonly _tag: "Id"; readonly id: string; readonly from: string }
  | { readonly _tag: "Name"; readonly name: string; readonly from: string }

/**
 * What a user is told before a run: where it would go and how, in names of variables, never their values.
 *
 * @category models
 * @since 0.2.0
 */
export interface Description {
  readonly state: "ready" | "unusable"
  /** Why it is unusable, and what to do. */
  readonly problem: string | undefined
  readonly trackingUri: string | undefined
  /** Undefined: derived from the script, or the caller's project. */
  readonly experiment: string | undefined
  /** `MLFLOW_TRACKING_TOKEN (Bearer)`, ...; empty: without authentication. */
  readonly authentication: ReadonlyArray<string>
  readonly insecureTls: boolean
  readonly systemMetrics: boolean
  readonly warnings: ReadonlyArray<string>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The settings of a run; a text says why there are none.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  environment: Environment,
  project: { readonly projectName: string; readonly projectGiven: boolean }
): Settings | string => {
  const place = placeOf(environment)
  if (typeof place === "string") return place
  const { headers, secrets, warnings } = authenticationOf(environment, place)
  return {
    baseUrl: place.baseUrl,
    headers,
    secrets,
    insecureTls: isTrue(environment["MLFLOW_TRACKING_INSECURE_TLS"]),
    caFile: read(environment, "MLFLOW_TRACKING_SERVER_CERT_PATH"),
    experiment: project.projectGiven
      ? { _tag: "Name", name: project.projectName, from: "the project's name" }
      : experimentOf(environment) ?? { _tag: "Name", name: project.projectName, from: "the script" },
    runName: read(environment, "MLFLOW_RUN_NAME"),
    systemMetrics: wantsSystem(environment),
    warnings
  }
}

/**
 * What `ezpz-stream doctor` says.
 *
 * @category constructors
 * @since 0.2.0
 */
export const describe = (environment: Environment): Description => {
  const place = placeOf(environment)
  const problem = typeof place === "string" ? place : undefined
  const known = typeof place === "string" ? undefined : place
  const { names, warnings } = authenticationOf(environment, known)
  const experiment = experimentOf(environment)
  return {
    state: problem === undefined ? "ready" : "unusable",
    problem,
    trackingUri: known?.baseUrl,
    experiment: experiment === undefined
      ? undefined
      : `${experiment._tag === "Id" ? `id ${experiment.id}` : experiment.name} (${experiment.from})`,
    authentication: names,
    insecureTls: isTrue(environment["MLFLOW_TRACKING_INSECURE_TLS"]),
    systemMetrics: wantsSystem(environment),
    warnings
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Place {
  readonly baseUrl: string
  readonly user: string
  readonly password: string
}

const remedy = "Set MLFLOW_TRACKING_URI to the address of an MLflow server, as http://127.0.0.1:5000 " +
  "(`mlflow server` starts one)"

const placeOf = (environment: Environment): Place | string => {
  const uri = read(environment, "MLFLOW_TRACKING_URI")
  if (uri === undefined) return `no server is named. ${remedy}`
  if (!/^https?:\/\//i.test(uri)) {
    const kind = /^[a-z][a-z0-9+.-]{0,30}(?=:)/i.exec(uri)?.[0]
    return `MLFLOW_TRACKING_URI is ${
      kind === undefined ? "a path" : `a ${kind}: URI`
    }, and only servers are spoken to. ` +
      remedy
  }
  if (!URL.canParse(uri)) return `MLFLOW_TRACKING_URI is no valid address. ${remedy}`
  const url = new URL(uri)
  return {
    baseUrl: `${url.origin}${url.pathname.replace(/\/+$/, "")}`,
    user: unescape(url.username),
    password: unescape(url.password)
  }
}

const unescape = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const authenticationOf = (environment: Environment, place: Place | undefined) => {
  const names: Array<string> = []
  const headers: { [name: string]: string } = {}
  const secrets: Array<string> = []
  const warnings: Array<string> = []
  const user = read(environment, "MLFLOW_TRACKING_USERNAME")
  const password = read(environment, "MLFLOW_TRACKING_PASSWORD")
  const token = read(environment, "MLFLOW_TRACKING_TOKEN")
  const basic = (user: string, password: string, name: string): void => {
    const both = Buffer.from(`${user}:${password}`, "utf8").toString("base64")
    headers["authorization"] = `Basic ${both}`
    secrets.push(password, both)
    names.push(`${name} (Basic)`)
  }
  if (user !== undefined && password !== undefined) {
    basic(user, password, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    if (token !== undefined) warnings.push("MLFLOW_TRACKING_TOKEN is not used: there are a user and a password")
  } else if (token !== undefined) {
    headers["authorization"] = `Bearer ${token}`
    secrets.push(token)
    names.push("MLFLOW_TRACKING_TOKEN (Bearer)")
  } else if (place !== undefined && place.user !== "") {
    basic(place.user, place.password, "the user in MLFLOW_TRACKING_URI")
  } else if (user !== undefined || password !== undefined) {
    const [there, missing] = user === undefined ? ["PASSWORD", "USERNAME"] : ["USERNAME", "PASSWORD"]
    warnings.push(`MLFLOW_TRACKING_${there} is not used: MLFLOW_TRACKING_${missing} is missing`)
  }
  for (const name of ["AMSC_API_KEY", "AM_SC_API_KEY"]) {
    const key = read(environment, name)
    if (key === undefined) continue
    headers["x-api-key"] = key
    secrets.push(key)
    names.push(`${name} (X-API-Key)`)
    break
  }
  return { names, headers, secrets, warnings }
}

const experimentOf = (environment: Environment): Experiment | undefined => {
  const id = read(environment, "MLFLOW_EXPERIMENT_ID")
  if (id !== undefined) return { _tag: "Id", id, from: "MLFLOW_EXPERIMENT_ID" }
  for (const from of ["MLFLOW_EXPERIMENT_NAME", "WB_PROJECT", "WANDB_PROJECT", "WB_PROJECT_NAME"]) {
    const name = read(environment, from)
    if (name !== undefined) return { _tag: "Name", name, from }
  }
  return undefined
}

/** What is set to nothing is not set. */
const read = (environment: Environment, name: string): string | undefined => {
  const value = environment[name]?.trim()
  return value === undefined || value === "" ? undefined : value
}

const isTrue = (value: string | undefined): boolean => /^(?:1|true|yes|on)$/i.test(value?.trim() ?? "")

const wantsSystem = (environment: Environment): boolean =>
  !/^(?:0|false|no|off)$/i.test(environment["MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"]?.trim() ?? "")
