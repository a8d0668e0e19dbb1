/**
 * A run's directory, followed: what is in its log, what comes to it, and what is known of the run beside it.
 *
 * The rules. Nothing is written, and nothing locked: any number of watchers look at one run. A run may be in any state:
 * being written, finished, killed, copied by half, deleted while it is looked at (what was read stays, `state` is "gone")
 * and replaced (then reading starts anew, and `resets` says so). A torn line counts in `corrupt`, the last one, which may
 * be about to be written, only once more follows.
 *
 * A long log is read a few pages at a time, so that whoever shows it stays responsive. Meanwhile `store` has lines from
 * all over the file (`sampled`), so that there is something to see at once.
 *
 * @since 0.5.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { RunState } from "../Backend.ts"
import * as Outbox from "../Outbox.ts"
import * as RunDirectory from "../RunDirectory.ts"
import type { Entry } from "../RunLog.ts"
import * as RunLog from "../RunLog.ts"
import { readCursor } from "../Supervisor.ts"
import type { Window } from "./Decimate.ts"
import * as Places from "./live/Places.ts"
import * as Sample from "./live/Sample.ts"
import * as Ranks from "./Ranks.ts"
import * as Series from "./Series.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How a run is: as its run.json says; "killed" too where it was never ended and nobody writes it, "gone" where its log
 * was deleted, "unknown" where nothing says whose log it is.
 *
 * @category models
 * @since 0.5.0
 */
export type State = RunState | "running" | "gone" | "unknown"

/**
 * What a backend has not acknowledged: records, and other things (images, tables).
 *
 * @category models
 * @since 0.5.0
 */
export interface Undelivered {
  readonly backend: string
  readonly records: number
  readonly outputs: number
}

/**
 * A run under way. Its members change with {@link Live.poll}; `store` and `ranks` are others after a reset and when
 * sampling ends.
 *
 * `read` of `size` bytes have been read. `system` has the machine's samples. `error` says why the log cannot be read.
 * `version` changes with everything that can be seen.
 *
 * @category models
 * @since 0.5.0
 */
export interface Live {
  readonly log: string
  readonly directory: string
  readonly store: Series.Store
  readonly system: Series.Store
  readonly ranks: Ranks.Ranks
  readonly run: RunDirectory.Run | undefined
  readonly state: State
  readonly undelivered: ReadonlyArray<Undelivered>
  readonly read: number
  readonly size: number
  readonly sampled: boolean
  readonly corrupt: number
  readonly resets: number
  readonly error: string | undefined
  readonly version: number
  /** Reads what has come, at most a few pages. True: there is more at hand. */
  readonly poll: Effect.Effect<boolean>
  /**
   * One metric, as finely as a window needs, out of the log; undefined where that would mean to read too much of it.
   */
  readonly detail: (key: string, window: Window) => Effect.Effect<Series.Series | undefined>
}

/**
 * `limits` of the stores; `sampleAbove`: a longer log is sampled first.
 *
 * @category models
 * @since 0.5.0
 */
export interface Options {
  readonly limits?: Series.Limits | undefined
  readonly sampleAbove?: number | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const pagesAtOnce = 2
const factsMillis = 1000
const deliveryMillis = 2000
const detailBytes = 64 * 1024 * 1024

/**
 * Looks at a run, named by its directory or its log. Nothing has been read of it before the first `poll`.
 *
 * @category constructors
 * @since 0.5.0
 */
export const open = (path: string, options: Options = {}): Effect.Effect<Live, RunDirectory.RunDirectoryError> =>
  Effect.map(RunDirectory.findLog(path), (log) => make(log, options))

type Mutable = { -readonly [K in keyof Live]: Live[K] }

const make = (log: string, { limits, sampleAbove = 24 * 1024 * 1024 }: Options): Live => {
  let store = Series.make(limits)
  let ranks = Ranks.make()
  let places = Places.make()
  let inode: number | undefined
  /** The log's size when all of it that is whole had been read. */
  let tried = -1
  let pages = pagesAtOnce
  let outboxAt = 0
  let factsAt = -Infinity
  let deliveryAt = -Infinity
  /** The last record when delivery was looked at before. */
  let knownSeq = 0
  const counters = new Map<string, ReturnType<typeof Outbox.counter>>()

  const reset = (): void => {
    store = Series.make(limits)
    ranks = Ranks.make()
    places = Places.make()
    Object.assign(live, { store, ranks, system: Series.make(limits), read: 0, sampled: false, corrupt: 0 })
    outboxAt = 0
    tried = -1
    pages = pagesAtOnce
  }

  /** What is seen is what has been read; of a long log that has only begun, lines from all over it. */
  const sample = (): void => {
    const [sampled, sampledRanks] = [Series.make(limits), Ranks.make()]
    const entries = Sample.entries(log, live.size)
    sampled.push(entries)
    Ranks.push(sampledRanks, entries)
    live.store = sampled
    live.ranks = sampledRanks
    live.sampled = true
  }

  const look = (): Fs.Stats | undefined => {
    const stat = Fs.statSync(log, { throwIfNoEntry: false })
    if (stat === undefined) return undefined
    if (inode !== undefined && (stat.ino !== inode || stat.size < live.read)) {
      reset()
      live.resets++
      live.version++
      factsAt = -Infinity
    }
    inode = stat.ino
    if (stat.size !== live.size) live.version++
    live.size = stat.size
    return stat
  }

  const take = (page: RunLog.Page): void => {
    // A last line that is not whole is read again, and not counted yet.
    if (page.end === live.read && page.entries.length === 0) return
    store.push(page.entries)
    Ranks.push(ranks, page.entries)
    Places.add(places, live.read, page.end, page.entries)
    live.corrupt += page.corrupt.length
    live.read = page.end
    live.version++
  }

  const readOn = Effect.suspend(() =>
    RunLog.pages(log, { from: live.read, to: live.size }).pipe(
      Stream.take(pages),
      Stream.runForEach((page) => Effect.sync(() => take(page)))
    )
  )

  const poll: Live["poll"] = Effect.gen(function*() {
    const stat = look()
    if (stat === undefined) {
      if (live.state !== "gone") live.version++
      live.state = "gone"
      return false
    }
    let more = false
    if (stat.size > live.read && stat.size !== tried) {
      if (live.read === 0 && stat.size > sampleAbove) sample()
      const before = live.read
      yield* readOn
      // A line that is longer than what was read: more has to be.
      const whole = before + pages * pageBytes >= stat.size
      pages = live.read === before && !whole ? pages * 2 : pagesAtOnce
      more = live.read < stat.size && !(live.read === before && whole)
      if (!more) tried = stat.size
    }
    if (!more && live.sampled) {
      live.store = store
      live.ranks = ranks
      live.sampled = false
      live.version++
    }
    live.error = undefined
    const now = yield* Clock.currentTimeMillis
    if (now - factsAt >= factsMillis) {
      factsAt = now
      yield* facts
      readSystem()
    }
    if (!more && now - deliveryAt >= deliveryMillis) {
      deliveryAt = now
      yield* delivery
    }
    return more
  }).pipe(
    Effect.catch((error) =>
      Effect.sync(() => {
        live.error = error.message
        live.version++
        return false
      })
    ),
    Effect.catchDefect((defect) =>
      Effect.sync(() => {
        live.error = defect instanceof Error ? defect.message : String(defect)
        live.version++
        return false
      })
    )
  )

  const facts = Effect.gen(function*() {
    const run = yield* RunDirectory.readRun(log)
    const writer = run?.state === "running" ? yield* RunDirectory.writerOf(log) : undefined
    const state = run === undefined ? "unknown" : run.state === "running" && writer === undefined ? "killed" : run.state
    if (state !== live.state || JSON.stringify(run) !== JSON.stringify(live.run)) {
      live.run = run
      live.state = state
      live.version++
    }
  })

  const readSystem = (): void => {
    for (;;) {
      const { end, items } = Outbox.read(RunDirectory.outboxPath(log), outboxAt)
      if (end === outboxAt) return
      outboxAt = end
      live.system.push(items.flatMap(({ entry }): ReadonlyArray<Entry> =>
        entry.kind !== "system" ? [] : [{
          seq: entry.seq,
          step: undefined,
          timestamp: entry.timestamp,
          rank: 0,
          metrics: entry.metrics,
          statistics: undefined
        }]
      ))
      live.version++
    }
  }

  const delivery = Effect.gen(function*() {
    const outbox = RunDirectory.outboxPath(log)
    const found: Array<Undelivered> = []
    for (const backend of live.run?.backends ?? []) {
      const cursor = yield* readCursor(RunDirectory.cursorPath(log, backend))
      const counter = counters.get(backend) ?? Outbox.counter(backend)
      counters.set(backend, counter)
      // What has only just come is on its way.
      const isBehind = live.state !== "running" || cursor.seq < knownSeq
      const records = isBehind ? Math.max(0, store.lastSeq - cursor.seq) : 0
      const outputs = counter(outbox, cursor.outbox) + cursor.failed.length
      if (records > 0 || outputs > 0) found.push({ backend, records, outputs })
    }
    knownSeq = store.lastSeq
    if (JSON.stringify(found) !== JSON.stringify(live.undelivered)) live.version++
    live.undelivered = found
  })

  const detail: Live["detail"] = (key, window) =>
    Effect.gen(function*() {
      const stretches = Places.within(places, window)
      if (stretches.reduce((sum, { from, to }) => sum + to - from, 0) > detailBytes) return undefined
      const fine = Series.make({ bins: 1 << 17, capacity: 1 << 15 })
      for (const stretch of stretches) {
        yield* Stream.runForEach(
          RunLog.pages(log, stretch),
          // Between two pages others get their turn.
          (page) =>
            Effect.andThen(
              Effect.sync(() => fine.push(page.entries.flatMap((entry) => only(entry, key, window)))),
              Effect.yieldNow
            )
        )
      }
      return fine.series.get(key)
    }).pipe(Effect.orElseSucceed(() => undefined))

  const live: Mutable = {
    log,
    directory: Path.dirname(Path.resolve(log)),
    store,
    system: Series.make(limits),
    ranks,
    run: undefined,
    state: "unknown",
    undelivered: [],
    read: 0,
    size: 0,
    sampled: false,
    corrupt: 0,
    resets: 0,
    error: undefined,
    version: 0,
    poll,
    detail
  }
  return live
}

const pageBytes = 1024 * 1024

const statisticNames = ["mean", "min", "max", "std", "argmin", "argmax", "nonfinite"]

/** Of an entry only what concerns one metric in a window. */
const only = (entry: Entry, key: string, { axis, from, origin = 0, to }: Window): ReadonlyArray<Entry> => {
  const x = axis === "step" ? entry.step ?? entry.seq : entry.timestamp - (axis === "relative" ? origin : 0)
  if (!(x >= from && x <= to)) return []
  const value = entry.metrics?.[key]
  const { statistics } = entry
  const values = statistics === undefined ? [] : statisticNames.flatMap((name) => {
    const found = statistics.values[`${key}/${name}`]
    return found === undefined ? [] : [[`${key}/${name}`, found] as const]
  })
  const kept = statistics === undefined || values.length === 0
    ? undefined
    : { ...statistics, values: Object.fromEntries(values) }
  if (entry.metrics !== undefined) {
    return value === undefined && kept === undefined
      ? []
      : [{ ...entry, metrics: value === undefined ? {} : { [key]: value }, statistics: kept }]
  }
  return kept === undefined ? [] : [{ ...entry, statistics: kept }]
}

// -----------------------------------------------------------------------------
// Following
// -----------------------------------------------------------------------------

/**
 * A run, again and again, whenever something of it has changed: while there is more to read without a pause, then looked
 * at every so many milliseconds. It ends with its reader only.
 *
 * @category following
 * @since 0.5.0
 */
export const updates = (live: Live, everyMillis = 100): Stream.Stream<Live> => {
  let shown = -1
  let more = false
  const next: Effect.Effect<Live> = Effect.gen(function*() {
    // Between two pages others get their turn.
    if (more) yield* Effect.yieldNow
    for (;;) {
      more = yield* live.poll
      if (live.version !== shown) {
        shown = live.version
        return live
      }
      if (more) yield* Effect.yieldNow
      else yield* Effect.sleep(everyMillis)
    }
  })
  return Stream.unfold(undefined, () => Effect.map(next, (seen) => [seen, undefined] as const))
}
