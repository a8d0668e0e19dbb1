import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Backend from "../../../src/Backend.ts"
import * as Mlflow from "../../../src/backend/mlflow/Mlflow.ts"
import { context, row } from "../../backend/mlflow/support.ts"
import { temporary } from "../../support/directory.ts"
import * as Python from "../python.ts"
import * as Client from "./client.ts"
import * as Loopback from "./loopback.ts"

let tls: { readonly key: string; readonly cert: string }
beforeAll(async () => {
  tls = JSON.parse(await Client.python(certificate))
}, Python.timeout)

/** A certificate that nobody vouches for. */
const certificate = `
import datetime, ipaddress, json
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    .not_valid_before(now - day).not_valid_after(now + day)
    .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    .sign(key, hashes.SHA256()))
print(json.dumps(dict(cert=cert.public_bytes(s.Encoding.PEM).decode(),
    key=key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode())))
`

const loopback = (options: Parameters<typeof Loopback.make>[0] = {}) =>
  Effect.acquireRelease(Effect.promise(() => Loopback.make(options)), (server) => Effect.promise(server.close))

const start = (
  server: Loopback.Loopback,
  environment: { readonly [name: string]: string } = {},
  more: Partial<Backend.Context> = {}
) =>
  Effect.flatMap(
    temporary,
    (directory) =>
      Mlflow.factory(context(directory, { environment: { MLFLOW_TRACKING_URI: server.url, ...environment }, ...more }))
  )

const basic = `Basic ${Buffer.from("me:marked-password").toString("base64")}`

describe("credentials", () => {
  it.live("go with every request, files too", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      Fs.writeFileSync(Path.join(directory, "a.txt"), "a")
      for (
        const [environment, authorization, key] of [
          [{ MLFLOW_TRACKING_TOKEN: "marked-token" }, "Bearer marked-token", undefined],
          [{ MLFLOW_TRACKING_USERNAME: "me", MLFLOW_TRACKING_PASSWORD: "marked-password" }, basic, undefined],
          [{ AMSC_API_KEY: "marked-key" }, undefined, "marked-key"],
          [{ AM_SC_API_KEY: "marked-key", MLFLOW_TRACKING_TOKEN: "t" }, "Bearer t", "marked-key"]
        ] as const
      ) {
        const server = yield* loopback()
        const backend = yield* start(server, environment)
        yield* backend.log([row(1, { loss: 1 })])
        yield* backend.logConfig({ lr: 1 })
        yield* backend.logArtifacts([Path.join(directory, "a.txt")])
        yield* backend.finish("finished")
        assert.isAtLeast(server.asked.length, 6)
        for (const { headers } of server.asked) {
          assert.strictEqual(headers["authorization"], authorization)
          assert.strictEqual(headers["x-api-key"], key)
        }
      }
    }))

  it.live("never stand in an error, whatever the server repeats of them", () =>
    Effect.gen(function*() {
      const server = yield* loopback()
      server.answer = (asked, response) => {
        response.writeHead(403, { "content-type": "text/plain" })
        response.end(`${JSON.stringify(asked.headers)} is not enough`)
        return true
      }
      const error = yield* Effect.flip(start(server, {
        MLFLOW_TRACKING_USERNAME: "me",
        MLFLOW_TRACKING_PASSWORD: "marked-password",
        AMSC_API_KEY: "marked-key"
      }))
      const text = `${error.message} ${JSON.stringify(error)} ${String(error)}`
      assert.notInclude(text, "marked")
      assert.notInclude(text, basic.slice(6))
      assert.strictEqual(error.kind, "HTTP 403")
    }))

  it.live("stay with the tracking server's host, where artifacts are on another", () =>
    Effect.gen(function*() {
      const other = yield* loopback()
      const host = other.url.replace("http://127.0.0.1", "localhost")
      const server = yield* loopback({ artifactUri: `mlflow-artifacts://${host}/1/r/artifacts` })
      const backend = yield* start(server, { MLFLOW_TRACKING_TOKEN: "marked-token" })
      const directory = yield* temporary
      Fs.writeFileSync(Path.join(directory, "a.txt"), "a")
      yield* backend.logArtifacts([Path.join(directory, "a.txt")])
      assert.deepStrictEqual(
        other.asked.map(({ body, headers, method, path }) => [method, path, body, headers["authorization"]]),
        [
          ["PUT", "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/a.txt", "a", undefined]
        ]
      )
    }))
})

describe("a certificate that nobody vouches for", () => {
  it.live("is taken with MLFLOW_TRACKING_INSECURE_TLS, and refused without", () =>
    Effect.gen(function*() {
      const server = yield* loopback({ tls })
      const error = yield* Effect.flip(start(server))
      assert.match(error.kind ?? "", /SELF_SIGNED/)
      assert.deepStrictEqual(server.asked, [])
      for (const yes of ["true", "1"]) {
        const backend = yield* start(server, { MLFLOW_TRACKING_INSECURE_TLS: yes })
        yield* backend.log([row(1, { loss: 1 })])
      }
      yield* Effect.flip(start(server, { MLFLOW_TRACKING_INSECURE_TLS: "false" }))
    }))

  it.live("is taken where MLFLOW_TRACKING_SERVER_CERT_PATH vouches for it", () =>
    Effect.gen(function*() {
      const server = yield* loopback({ tls })
      const path = Path.join(yield* temporary, "server.pem")
      Fs.writeFileSync(path, tls.cert)
      const backend = yield* start(server, { MLFLOW_TRACKING_SERVER_CERT_PATH: path })
      yield* backend.log([row(1, { loss: 1 })])
    }))
})

describe("an answer", () => {
  const log = "/api/2.0/mlflow/runs/log-batch"

  it.live("that says when to come again is obeyed", () =>
    Effect.gen(function*() {
      const server = yield* loopback()
      const backend = yield* start(server)
      server.answer = (asked, response) => {
        if (asked.path !== log) return undefined
        response.writeHead(429, { "retry-after": "7" })
        response.end()
        return true
      }
      const error = yield* Effect.flip(backend.log([row(1, { loss: 1 })]))
      assert.strictEqual(error.retryAfterMillis, 7000)
      assert.strictEqual(error.kind, "HTTP 429")
    }))

  it.live("that is not MLflow's acknowledges nothing: pages, other JSON, half of one, none", () =>
    Effect.gen(function*() {
      const server = yield* loopback()
      const backend = yield* start(server)
      const answers: ReadonlyArray<Loopback.Answer> = [
        (
          _asked,
          response
        ) => (response.writeHead(200, { "content-type": "text/html" }).end("<html>Log in</html>"), true),
        (_asked, response) => (response.writeHead(200).end("[]"), true),
        (_asked, response) => (response.writeHead(200).end(), true),
        (_asked, response) => (response.writeHead(404).end("<html>Nothing here</html>"), true),
        (_asked, response) => Loopback.refuse(response, 500, "INTERNAL_ERROR"),
        (_asked, response, socket) => {
          response.writeHead(200, { "content-length": "100" })
          response.write("{")
          setTimeout(() => socket.destroy(), 20)
          return true
        },
        (_asked, _response, socket) => (socket.destroy(), true)
      ]
      const rows = [row(1, { loss: 1 }), row(2, { loss: NaN })]
      for (const answer of answers) {
        server.answer = (asked, ...rest) => asked.path === log ? answer(asked, ...rest) : undefined
        const error = yield* Effect.flip(backend.log(rows))
        assert.isDefined(error.kind)
        assert.notStrictEqual(error.permanent, true)
        assert.deepNestedInclude(yield* backend.checkpoint, { "position.highest": null })
      }
      server.answer = () => undefined
      yield* backend.log(rows)
      const bodies = server.asked.filter(({ path }) => path === log).map(({ body }) => body)
      assert.strictEqual(new Set(bodies).size, 1)
      assert.deepNestedInclude(yield* backend.checkpoint, { "position.highest": 1 })
    }))

  it.live("that refuses one point keeps no other from the server", () =>
    Effect.gen(function*() {
      const server = yield* loopback()
      const taken = new Set<string>()
      server.answer = ({ body, path }, response) => {
        if (path !== log) return undefined
        const { metrics }: { readonly metrics: ReadonlyArray<{ readonly key: string; readonly step: number }> } = JSON
          .parse(body)
        if (metrics.some(({ key, step }) => key === "bad" && step === 6)) {
          return Loopback.refuse(response, 400, "INVALID_PARAMETER_VALUE", "not this one")
        }
        for (const { key, step } of metrics) taken.add(`${key} ${step}`)
        return undefined
      }
      const backend = yield* start(server)
      yield* backend.log(Array.from({ length: 100 }, (_, i) => row(i + 1, { good: i, bad: i })))
      assert.strictEqual(taken.size, 199)
      assert.isFalse(taken.has("bad 6"))
      const error = yield* Effect.flip(backend.log([row(101, { bad: 1 }, { step: 6 })]))
      assert.match(error.message, /not this one/)
    }))
})

describe("a run that is delivered later", () => {
  it.live("keeps its state until the end, which is when its last record came", () =>
    Effect.gen(function*() {
      const server = yield* loopback()
      const ended = { run: { info: { run_id: "r", experiment_id: "1", status: "FAILED", lifecycle_stage: "active" } } }
      server.answer = ({ path }, response) => {
        if (!path.endsWith("runs/get")) return undefined
        response.end(JSON.stringify(ended))
        return true
      }
      const position = { highest: 0, recent: [[0, 5]], forgotten: -1, latest: 5 }
      const checkpoint = { runId: "r", experimentId: "1", position }
      const updates = () =>
        server.asked.filter(({ path }) => path.endsWith("runs/update")).map(({ body }) => JSON.parse(body))
      const backend = yield* start(server, {}, { live: false, checkpoint })
      yield* backend.log([row(2, { loss: 1 })])
      assert.deepStrictEqual(updates(), [])
      yield* backend.finish("killed")
      assert.deepStrictEqual(updates(), [{ run_id: "r", status: "KILLED", end_time: 1_764_000_000_500 }])
      yield* start(server, {}, { checkpoint })
      assert.deepStrictEqual(updates().at(-1), { run_id: "r", status: "RUNNING" })
    }))
})

describe("what cannot be", () => {
  it.live("an experiment whose artifacts are elsewhere takes metrics, and says once why no files", () =>
    Effect.gen(function*() {
      for (const artifactUri of ["s3://bucket/1/r/artifacts", "/srv/mlruns/1/r/artifacts", "file:///srv/mlruns"]) {
        const server = yield* loopback({ artifactUri })
        const backend = yield* start(server)
        const directory = yield* temporary
        Fs.writeFileSync(Path.join(directory, "a.txt"), "a")
        const error = yield* Effect.flip(backend.logArtifacts([Path.join(directory, "a.txt")]))
        assert.isTrue(error.permanent)
        assert.strictEqual(error.kind, "no artifact proxy")
        assert.include(error.message, "--artifacts-destination")
        yield* backend.log([row(1, { loss: 1 })])
      }
    }))

  it.live("without a server it does not start, and says what to set", () =>
    Effect.gen(function*() {
      const server = yield* loopback()
      for (const uri of ["", "file:///tmp/mlruns", "sqlite:///mlflow.db"]) {
        const error = yield* Effect.flip(start(server, { MLFLOW_TRACKING_URI: uri }))
        assert.isTrue(error.permanent)
        assert.include(error.message, "Set MLFLOW_TRACKING_URI")
      }
      assert.deepStrictEqual(server.asked, [])
    }))
})
