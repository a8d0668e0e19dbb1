/**
 * How ranks find their root.
 *
 * The root claims its place first: it learns with which keys and where it is to listen. Then it listens, and publishes
 * its endpoints. Other ranks look, in this order, again and again until their time is over:
 *
 * 1. `EZPZ_ROOT`, an endpoint that a person gave to all ranks: the root listens there, nobody looks any further. Beyond
 *    this host it needs `EZPZ_SECRET`, from which all ranks derive the keys.
 * 2. A file on a file system that the ranks share, in a directory that all of them compute: `EZPZ_RENDEZVOUS_DIR/<job>`,
 *    else `~/.ezpz-stream/<job>`; and one for ranks of the root's own host, where there is no such file system.
 * 3. With `EZPZ_SECRET` and a host that the launcher names: a port there that follows from the job and `MASTER_PORT`.
 *    `MASTER_PORT` itself is the training's: it is never bound.
 *
 * Which root is whose: a job's id is part of every path, key and port, so jobs do not meet. Within a job a run has a
 * token, made when its first root claims: a root that goes on with the run after it was killed has the same token and
 * keys and the next incarnation, another run has other ones. A file whose root is gone (on this host that can be seen) is
 * passed over; on another host it is followed until another takes its place ({@link find} with `other`).
 *
 * @since 0.3.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { reason } from "../../internal/reason.ts"
import type { Environment, Job } from "../../Rank.ts"
import * as Keys from "./Keys.ts"
import * as File from "./rendezvous/file.ts"
import { bracketed, directoriesOf, namesOf, nodeOf, type Options, portsOf, socketPath } from "./rendezvous/places.ts"
import type { ListenOptions, Target } from "./Transport.ts"
import { privateDirectory } from "./transport/privateDirectory.ts"
import { isLoopback, removeSocket } from "./transport/sockets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export { namesOf, nodePath, type Options } from "./rendezvous/places.ts"

/** Where a root is, as {@link Transport.connect} takes it. */
export interface Place extends Target {
  readonly source: "explicit" | "file" | "derived"
  /** Which run and which of its roots; only a file says. */
  readonly run: string | undefined
  readonly incarnation: number | undefined
  /** Those of the job: who has them may listen, too. */
  readonly keys?: Keys.Keys | undefined
}

export interface ClaimOptions extends Options {
  /** The run as its log knows it: a root that goes on with it is the same run. */
  readonly runId: string
  /** Whether ranks are on other hosts, too. */
  readonly hosts: "one" | "several"
  /** How long the root before may take to leave. */
  readonly patienceMillis?: number
  /** A place that another root has left, and may come back to, is left as it is. */
  readonly fresh?: boolean
}

/** A root's place. It is given up when the scope closes. */
export interface Claim {
  /** Where to listen, and with which keys. */
  readonly listen: Pick<ListenOptions, "ipc" | "tcp">
  readonly run: string
  readonly incarnation: number
  /** Says where ranks can connect, until the scope closes. */
  readonly publish: (endpoints: ReadonlyArray<string>) => Effect.Effect<void, RendezvousError>
  /** Whether no other root has taken this one's place meanwhile. */
  readonly isMine: Effect.Effect<boolean>
  /** What a person should know: who was replaced, or who cannot find this root. */
  readonly notes: ReadonlyArray<string>
}

export interface FindOptions extends Options {
  readonly timeoutMillis?: number
  /** A root that is known already and is not meant, and the run that the other one must be of. */
  readonly other?: Place | undefined
  readonly run?: string | undefined
}

const claimMillis = 10_000
const findMillis = 60_000
/** How long a file is waited for where the place could be derived, too. */
const fileFirstMillis = 2000
const firstPollMillis = 50
const mostPollMillis = 1000

// -----------------------------------------------------------------------------
// Claiming
// -----------------------------------------------------------------------------

/** Takes the root's place in a job. */
export const claim = (options: ClaimOptions): Effect.Effect<Claim, RendezvousError, Scope.Scope> =>
  Effect.gen(function*() {
    const { environment, hosts, job, runId } = options
    const fail = (detail: string) => new RendezvousError({ job: job.id, operation: "take the root's place", detail })
    const said = explicit(options)
    if (said !== undefined && "refused" in said) return yield* fail(said.refused)
    const now = yield* Clock.currentTimeMillis
    const secret = secretOf(environment)

    if (said !== undefined) {
      return {
        listen: said.listen,
        run: runId,
        incarnation: incarnationAfter(undefined, now),
        publish: () => Effect.void,
        isMine: Effect.succeed(true),
        notes: []
      }
    }

    const { directory, lock, notes } = yield* takeDirectory(options, fail)
    File.removeOld(directory, nodeOf(environment), now)
    const before = File.read(directory, job.id)
    const previous = "nothing" in before ? undefined : before
    if (previous !== undefined && options.fresh === true) {
      File.release(directory, lock)
      return yield* fail(`process ${previous.pid} of ${previous.host} has left it, and may come again`)
    }
    const goesOn = previous?.runId === runId
    if (previous !== undefined && !goesOn) File.remove(directory, previous)
    const keys = secret !== undefined
      ? Keys.fromSecret(secret, job.id)
      : goesOn
      ? previous.keys
      : Keys.random()
    const mine: File.Contents = {
      format: 1,
      job: job.id,
      runId,
      run: goesOn ? previous.run : Crypto.randomBytes(8).toString("hex"),
      incarnation: incarnationAfter(previous?.incarnation, now),
      host: nodeOf(environment),
      pid: process.pid,
      endpoints: [],
      keys
    }
    const ipc = yield* Effect.try({
      try: () => socketPath(options, `${mine.incarnation}`),
      catch: (cause) => fail(reason(cause))
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        File.remove(directory, mine)
        if (Path.dirname(ipc) !== directory) removeEmpty(Path.dirname(ipc))
        File.release(directory, lock)
      })
    )
    // What a root left that was killed: nobody listens there any more, as the place is ours.
    for (const name of Fs.readdirSync(Path.dirname(ipc))) {
      if (/^\d+$/.test(name)) removeSocket(Path.join(Path.dirname(ipc), name))
    }

    return {
      listen: {
        ipc,
        ...(hosts === "one" ? {} : {
          tcp: { interface: "*", ports: [...(secret === undefined ? [] : portsOf(job)), 0], hosts: namesOf(job), keys }
        })
      },
      run: mine.run,
      incarnation: mine.incarnation,
      publish: (endpoints) =>
        Effect.try({
          try: () => File.write(directory, { ...mine, endpoints }),
          catch: (cause) => fail(reason(cause))
        }),
      isMine: Effect.sync(() => File.isStill(directory, mine)),
      notes: previous === undefined || previous.host === mine.host
        ? notes
        : [...notes, `process ${previous.pid} on ${previous.host} was the root before, and is replaced`]
    }
  })

/** Takes the first directory that can be used. The root before may still be leaving. */
const takeDirectory = (options: ClaimOptions, fail: (detail: string) => RendezvousError) =>
  Effect.gen(function*() {
    const until = (yield* Clock.currentTimeMillis) + (options.patienceMillis ?? claimMillis)
    for (;;) {
      const taken = tryDirectories(options)
      if ("lock" in taken) return taken
      if ("unusable" in taken) return yield* fail(`no directory for it can be used (${taken.unusable})`)
      if ((yield* Clock.currentTimeMillis) >= until) {
        return yield* fail(
          `process ${taken.busy} of this host is its root already. Of two runs at a time in one job each needs an ` +
            "EZPZ_JOB_ID of its own"
        )
      }
      yield* Effect.sleep(firstPollMillis)
    }
  })

const tryDirectories = (options: ClaimOptions):
  | { readonly directory: string; readonly lock: File.Held; readonly notes: ReadonlyArray<string> }
  | { readonly busy: number }
  | { readonly unusable: string } =>
{
  const unusable: Array<string> = []
  for (const { directory, shared } of directoriesOf(options)) {
    try {
      if (!shared) privateDirectory(Path.dirname(directory))
      const lock = File.take(directory)
      if (!File.isHeld(lock)) return { busy: lock.pid }
      const lonely = `only ranks of this host can find the root, as no directory is shared (${unusable.join("; ")})`
      return { directory, lock, notes: !shared && options.hosts === "several" ? [lonely] : [] }
    } catch (error) {
      unusable.push(`${directory}: ${reason(error)}`)
    }
  }
  return { unusable: unusable.join("; ") }
}

/** Greater than the one before; else of the time, so that roots that know nothing of one another differ, too. */
const incarnationAfter = (previous: number | undefined, now: number): number =>
  Math.max((previous ?? 0) + 1, Math.floor(now / 1000) % 2 ** 32)

// -----------------------------------------------------------------------------
// Finding
// -----------------------------------------------------------------------------

/** Looks for the root until it is found, or the time is over. */
export const find = (options: FindOptions): Effect.Effect<Place, RendezvousError> =>
  Effect.gen(function*() {
    const { environment, job, other, run, timeoutMillis = findMillis } = options
    const fail = (detail: string) => new RendezvousError({ job: job.id, operation: "find the root", detail })
    const said = explicit(options)
    if (said !== undefined && "refused" in said) return yield* fail(said.refused)
    if (said !== undefined && other === undefined) return said.place

    const secret = secretOf(environment)
    const derived: Place | undefined = secret === undefined || job.rootHosts.length === 0 ? undefined : {
      source: "derived",
      run: undefined,
      incarnation: undefined,
      endpoints: portsOf(job).flatMap((port) => job.rootHosts.map((host) => `tcp://${bracketed(host)}:${port}`)),
      keys: Keys.fromSecret(secret, job.id)
    }
    const began = yield* Clock.currentTimeMillis
    for (let pause = firstPollMillis;; pause = Math.min(pause * 2, mostPollMillis)) {
      const looked: Array<string> = []
      for (const { directory } of said === undefined ? directoriesOf(options) : []) {
        const there = File.readLive(directory, job.id, nodeOf(environment))
        const path = File.pathIn(directory)
        if ("nothing" in there) looked.push(`${path} ${there.nothing}`)
        else if (run !== undefined && there.run !== run) looked.push(`${path} is of another run`)
        else if (there.run === other?.run && there.incarnation === other?.incarnation) {
          looked.push(`${path} is the same`)
        } else {
          const local = there.host === nodeOf(environment) && reachable(there)
          const endpoints = there.endpoints.filter((endpoint) => endpoint.startsWith("ipc:") === local)
          if (endpoints.length > 0) {
            return {
              source: "file" as const,
              run: there.run,
              incarnation: there.incarnation,
              endpoints,
              keys: there.keys
            }
          }
          looked.push(`${path} names a root that only ranks of ${there.host} can reach`)
        }
      }
      const waited = (yield* Clock.currentTimeMillis) - began
      if (derived !== undefined && other === undefined && waited >= Math.min(fileFirstMillis, timeoutMillis)) {
        return derived
      }
      if (waited >= timeoutMillis) {
        return yield* fail(
          `${looked.join("; ") || "EZPZ_ROOT names it"}. Looked for ${timeoutMillis / 1000} s. Is rank 0 running? ` +
            "Ranks on hosts that share no directory need EZPZ_RENDEZVOUS_DIR, EZPZ_ROOT=tcp://host:port with " +
            `EZPZ_SECRET, or EZPZ_SECRET and MASTER_ADDR${advice(secret, job)}`
        )
      }
      yield* Effect.sleep(Math.min(pause, timeoutMillis - waited))
    }
  })

/** Of two containers with one name the one does not see the sockets of the other. */
const reachable = ({ endpoints }: File.Contents): boolean =>
  endpoints.some((endpoint) => endpoint.startsWith("ipc://") && Fs.existsSync(endpoint.slice("ipc://".length)))

const advice = (secret: string | undefined, { rootHosts }: Job): string =>
  ` (EZPZ_SECRET is ${secret === undefined ? "not set" : "set"}, the launcher names ${
    rootHosts.length === 0 ? "no host" : rootHosts.join(" and ")
  })`

// -----------------------------------------------------------------------------
// Places
// -----------------------------------------------------------------------------

/** Where a person says that the root is. */
const explicit = ({ environment, job }: Options):
  | { readonly refused: string }
  | { readonly place: Place; readonly listen: Pick<ListenOptions, "ipc" | "tcp"> }
  | undefined =>
{
  const endpoint = environment["EZPZ_ROOT"]?.trim()
  if (endpoint === undefined || endpoint === "") return undefined
  const secret = secretOf(environment)
  const place: Place = {
    source: "explicit",
    endpoints: [endpoint],
    keys: secret === undefined ? undefined : Keys.fromSecret(secret, job.id),
    run: undefined,
    incarnation: undefined
  }
  const ipc = /^ipc:\/\/(\/.+)$/.exec(endpoint)?.[1]
  if (ipc !== undefined) return { place, listen: { ipc } }
  const [, host = "", digits = ""] = /^tcp:\/\/(\[[^\]]+\]|[^:/[\]]+):(\d{1,5})$/.exec(endpoint) ?? []
  const port = Number(digits)
  if (host === "" || port < 1 || port > 65535) {
    return { refused: `EZPZ_ROOT is ${endpoint}: neither tcp://host:port nor ipc:///path` }
  }
  if (port === job.masterPort) {
    return { refused: `EZPZ_ROOT is ${endpoint}: its port is MASTER_PORT, the training's own` }
  }
  if (secret === undefined && !isLoopback(host)) {
    return { refused: `EZPZ_ROOT is ${endpoint}: beyond this host EZPZ_SECRET is needed, the same for all ranks` }
  }
  return {
    place,
    listen: {
      tcp: {
        interface: isLoopback(host) ? "127.0.0.1" : "*",
        ports: [port],
        hosts: [host.replaceAll(/[[\]]/g, "")],
        keys: place.keys === undefined ? undefined : Keys.fromSecret(secret ?? "", job.id)
      }
    }
  }
}

const secretOf = (environment: Environment): string | undefined => environment["EZPZ_SECRET"] || undefined

const removeEmpty = (directory: string): void => {
  try {
    Fs.rmdirSync(directory)
  } catch {
    // It is not empty.
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/** The root could not be found, or its place not be taken. */
export class RendezvousError extends Schema.TaggedError<RendezvousError>()("RendezvousError", {
  job: Schema.String,
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `Could not ${this.operation} of job ${this.job}: ${this.detail}`
  }
}
