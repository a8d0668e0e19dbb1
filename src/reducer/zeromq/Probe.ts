/**
 * Whether the root of a job can be found and reached from here, for a person to read. Nothing is sent, and no rank's name is
 * used: a root does not notice more than a connection.
 *
 * @since 0.3.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Fs from "node:fs"
import * as Rank from "../../Rank.ts"
import * as Rendezvous from "./Rendezvous.ts"
import * as Transport from "./Transport.ts"

/**
 * `root`: where it is and whether it answers, or where it was looked for. `transport`: how frames would go there.
 *
 * @category models
 * @since 0.3.0
 */
export interface Found {
  readonly root: string
  readonly transport: string
}

/**
 * Looks for the root of the environment's job for a second, and tries to connect for another. Never says a key.
 *
 * @category constructors
 * @since 0.3.0
 */
export const probe = (environment: Rank.Environment): Effect.Effect<Found> =>
  Effect.gen(function*() {
    const job = Rank.jobFromEnvironment(environment, readText)
    const place = yield* Rendezvous.find({ environment, job, timeoutMillis: lookMillis })
    const secured = place.keys !== undefined
    const transport = place.endpoints.every((endpoint) => endpoint.startsWith("ipc:"))
      ? "ZeroMQ over ipc: ranks of this host, in a directory that only its owner may enter"
      : secured
      ? `ZeroMQ over tcp, encrypted (CURVE), with keys ${sources[place.source]}`
      : "ZeroMQ over tcp, in plaintext: this host alone"
    const where = place.endpoints.join(" or ")
    const answers = yield* reach(place).pipe(
      Effect.map((answered) => answered ? `answers at ${where}` : `does not answer at ${where}`),
      Effect.catch((error) => Effect.succeed(`cannot be reached at ${where}: ${error.message}`))
    )
    return { root: answers, transport }
  }).pipe(
    Effect.scoped,
    Effect.catch(({ detail }) =>
      Effect.succeed({ root: `not found: ${detail}`, transport: "ZeroMQ, once it is found" })
    )
  )

const lookMillis = 1000
const answerMillis = 1000

const sources = {
  explicit: "from EZPZ_SECRET",
  derived: "from EZPZ_SECRET",
  file: "from the rendezvous file"
} as const

const reach = (place: Rendezvous.Place) =>
  Effect.scoped(Effect.gen(function*() {
    const connected = yield* Deferred.make<void>()
    yield* Transport.connect({
      target: place,
      identity: `probe.${process.pid}`,
      lingerMillis: 0,
      patienceMillis: answerMillis / Math.max(2, place.endpoints.length * 2),
      receive: () => {},
      connection: (there) => {
        if (there) Deferred.doneUnsafe(connected, Effect.void)
      }
    })
    return Option.isSome(yield* Effect.timeoutOption(Deferred.await(connected), answerMillis))
  }))

const readText = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
