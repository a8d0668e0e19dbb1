/**
 * Whether the root of a job can be found and reached from here, for a person to read. Nothing is sent, and no rank's name is
 * used: a root does not notice more than a connection. Rank 0 itself, where nobody is the root, stands in for it for a while:
 * so a launcher that starts this on all ranks shows whether they would find each other.
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
 * Looks for the root of the environment's job for some seconds, and tries to connect for another. Never says a key.
 *
 * @category constructors
 * @since 0.3.0
 */
export const probe = (environment: Rank.Environment): Effect.Effect<Found> =>
  Effect.gen(function*() {
    const job = Rank.jobFromEnvironment(environment, readText)
    const rank = Rank.fromEnvironment(environment)
    const timeoutMillis = rank.rank === 0 ? 0 : lookMillis
    const found = yield* Effect.result(Rendezvous.find({ environment, job, timeoutMillis }))
    if (found._tag === "Failure") {
      return rank.rank === 0
        ? yield* standIn(environment, job, rank)
        : missing(found.failure)
    }
    const place = found.success
    const where = place.endpoints.join(" or ")
    const answers = yield* reach(place).pipe(
      Effect.map((answered) => answered ? `answers at ${where}` : `does not answer at ${where}`),
      Effect.catch((error) => Effect.succeed(`cannot be reached at ${where}: ${error.message}`))
    )
    const keys = place.keys === undefined ? undefined : sources[place.source]
    return { root: answers, transport: transportOf(place.endpoints, keys) }
  })

/** What a root would do, without what it is told. */
const standIn = (environment: Rank.Environment, job: Rank.Job, rank: Rank.Rank): Effect.Effect<Found> =>
  Effect.gen(function*() {
    const hosts = rank.localWorldSize === rank.worldSize ? "one" : "several"
    const claim = yield* Rendezvous.claim({ environment, job, runId: "doctor", hosts, patienceMillis: 0, fresh: true })
    const { endpoints } = yield* Transport.listen({ ...claim.listen, receive: () => {} })
    yield* claim.publish(endpoints)
    yield* Effect.sleep(standMillis)
    const root = `this process would be it: it listened at ${endpoints.join(" and ")} for ${standMillis / 1000} s`
    const keys = claim.listen.tcp?.keys === undefined ? undefined : "that ranks find as they find the root"
    return { root, transport: transportOf(endpoints, keys) }
  }).pipe(Effect.scoped, Effect.catch((error) => Effect.succeed(missing(error))))

const missing = (error: { readonly message: string }): Found => ({
  root: `not found: ${error.message}`,
  transport: "ZeroMQ, once it is found"
})

const transportOf = (endpoints: ReadonlyArray<string>, keys: string | undefined): string =>
  endpoints.every((endpoint) => endpoint.startsWith("ipc:"))
    ? "ZeroMQ over ipc: ranks of this host, in a directory that only its owner may enter"
    : keys !== undefined
    ? `ZeroMQ over tcp, encrypted (CURVE), with keys ${keys}`
    : "ZeroMQ over tcp, in plaintext: this host alone"

const lookMillis = 3000
/** Longer than others look: a launcher does not start all at once. */
const standMillis = 4000
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
