/** W&B online in tests: a server of the test's own, and a backend that is driven as its supervisor drives it. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Backend from "../../../src/Backend.ts"
import type { Row } from "../../../src/Row.ts"
import * as Server from "../../integration/wandb/server.ts"
import { startProcess } from "./support.ts"

export const server = Effect.acquireRelease(
  Effect.promise(() => Server.make()),
  (server) => Effect.promise(() => server.stop())
)

export const environment = (server: Server.Server): Backend.Context["environment"] => ({
  WANDB_BASE_URL: server.url,
  WANDB_API_KEY: server.apiKey
})

/** What a process does that goes on from a checkpoint, up to its end or its being killed. */
export const start = (server: Server.Server, directory: string, more: Partial<Backend.Context> = {}) =>
  startProcess(directory, { environment: environment(server), ...more })

/** Hands something over until it is acknowledged. Gives what failed meanwhile. */
export const insist = (
  call: Effect.Effect<void, Backend.BackendError>,
  most = 50
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const failures: Array<string> = []
    for (let i = 0; i < most; i++) {
      const result = yield* Effect.result(Effect.timeoutOption(call, 300))
      if (result._tag === "Success" && Option.isSome(result.success)) return failures
      failures.push(result._tag === "Failure" ? result.failure.kind ?? result.failure.message : "interrupted")
    }
    return yield* Effect.die(new Error(`not taken: ${failures.join(", ")}`))
  })

/** Rows in batches of so many. */
export const batches = (rows: ReadonlyArray<Row>, size: number): ReadonlyArray<ReadonlyArray<Row>> =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))

/** The values of a key in the lines of history, in order. */
export const values = (run: Server.Run, key: string): ReadonlyArray<unknown> =>
  Server.records(run.history).map((line) => line[key])
