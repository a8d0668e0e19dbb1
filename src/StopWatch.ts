/**
 * Says how long something took: in the log, `forward pass took 0.123 seconds`, and with a tag as metrics, `{tag}/dt`
 * in seconds and `{tag}/iter`, the number of the measurement.
 *
 * A measurement counts however it ends: a phase that fails or is interrupted has taken its time, too. Time is the
 * Clock's monotonic one, which no correction of the date moves.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { Metrics } from "./Metrics.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is done with a measurement.
 *
 * - `tag`: the name of its metrics, `timing/forward`; without one nothing is recorded. `prefix` goes in front of it.
 * - `iter`: the number of the first measurement; 1 unless said.
 * - `record`: takes the metrics, such as `(metrics) => history.update(metrics)`.
 * - `log`: false keeps the log line away.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<E = never, R = never> {
  readonly tag?: string | undefined
  readonly prefix?: string | undefined
  readonly iter?: number | undefined
  readonly record?: ((metrics: Metrics) => Effect.Effect<unknown, E, R>) | undefined
  readonly log?: boolean | undefined
}

/**
 * A watch that is used again and again.
 *
 * `measure` times an effect, of which several may run at once. `start` and `stop` time what lies between them: `stop`
 * gives the seconds, `start` again starts anew; a watch that does not run has measured nothing, and gives 0. `elapsed`
 * reads the running watch.
 *
 * @category models
 * @since 0.1.0
 */
export interface StopWatch<E = never, R = never> {
  readonly measure: <A, E1, R1>(effect: Effect.Effect<A, E1, R1>) => Effect.Effect<A, E | E1, R | R1>
  readonly start: Effect.Effect<void>
  readonly stop: Effect.Effect<number, E, R>
  readonly elapsed: Effect.Effect<number>
}

// -----------------------------------------------------------------------------
// Effects
// -----------------------------------------------------------------------------

/**
 * Makes a watch.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { StopWatch } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const recorded: Array<unknown> = []
 *   const watch = yield* StopWatch.make({
 *     name: "forward pass",
 *     tag: "timing/forward",
 *     record: (metrics) => Effect.sync(() => recorded.push(metrics["timing/forward/iter"])),
 *     log: false
 *   })
 *   for (let step = 0; step < 3; step++) yield* watch.measure(Effect.void)
 *   return recorded
 * })
 * assert.deepStrictEqual(Effect.runSync(program), [1, 2, 3])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E = never, R = never>(
  options: Options<E, R> & { readonly name: string }
): Effect.Effect<StopWatch<E, R>> =>
  Effect.sync(() => {
    const { log = true, name, record, tag } = options
    let iter = options.iter ?? 1
    let started: bigint | undefined

    const since = (start: bigint): Effect.Effect<number> =>
      Effect.map(Clock.monotonicTimeNanos, (now) => Number(now - start) / 1e9)

    const report = Effect.fnUntraced(function*(seconds: number) {
      const nth = iter++
      if (log) yield* Effect.logInfo(message(name, seconds))
      if (tag !== undefined && record !== undefined) yield* record(metrics(options, tag, seconds, nth))
    })

    return {
      measure: (effect) =>
        Effect.flatMap(Clock.monotonicTimeNanos, (start) =>
          Effect.onExit(effect, () => Effect.flatMap(since(start), report))),
      start: Effect.map(Clock.monotonicTimeNanos, (now) => {
        started = now
      }),
      stop: Effect.suspend(() => {
        if (started === undefined) {
          return Effect.succeed(0)
        }
        const start = started
        started = undefined
        return Effect.tap(since(start), report)
      }),
      elapsed: Effect.suspend(() =>
        started === undefined ? Effect.succeed(0) : since(started)
      )
    }
  })

/**
 * Measures an effect, each time it runs, with a watch of its own: where measurements are to be counted, {@link make} one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { StopWatch } from "ezpz-stream"
 *
 * // timestamp=... level=INFO message="forward pass took 0.000 seconds"
 * const forward = Effect.succeed(0.42).pipe(StopWatch.measure("forward pass"))
 * assert.strictEqual(Effect.runSync(forward), 0.42)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const measure: {
  <E2 = never, R2 = never>(
    name: string,
    options?: Options<E2, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2, R | R2>
  <A, E, R, E2 = never, R2 = never>(
    self: Effect.Effect<A, E, R>,
    name: string,
    options?: Options<E2, R2>
  ): Effect.Effect<A, E | E2, R | R2>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, E2, R2>(
    self: Effect.Effect<A, E, R>,
    name: string,
    options: Options<E2, R2> = {}
  ): Effect.Effect<A, E | E2, R | R2> => Effect.flatMap(make({ ...options, name }), (watch) => watch.measure(self))
)

// -----------------------------------------------------------------------------
// Plain code
// -----------------------------------------------------------------------------

/**
 * What is done with a measurement in code without Effect: `log` takes the line, `record` the metrics of the `tag`.
 * `now` gives milliseconds; `performance.now` unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface SyncOptions {
  readonly tag?: string | undefined
  readonly prefix?: string | undefined
  readonly iter?: number | undefined
  readonly record?: ((metrics: Metrics) => void) | undefined
  readonly log?: ((message: string) => void) | undefined
  readonly now?: (() => number) | undefined
}

/**
 * A measurement that is under way. `stop`, or the end of the block that `using` it stands in, ends it, once, and gives
 * the seconds; `elapsed` reads it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Running extends Disposable {
  readonly elapsed: () => number
  readonly stop: () => number
}

/**
 * Starts a measurement in code without Effect.
 *
 * @example
 * ```ts
 * import { StopWatch } from "ezpz-stream"
 *
 * const lines: Array<string> = []
 * let time = 0
 * const watch = StopWatch.start("forward pass", { log: (line) => lines.push(line), now: () => time })
 * time = 123
 * assert.strictEqual(watch.stop(), 0.123)
 * assert.deepStrictEqual(lines, ["forward pass took 0.123 seconds"])
 * ```
 *
 * ```
 * { using _ = StopWatch.start("forward pass", { log: console.error }); forward(batch) }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = (name: string, options: SyncOptions = {}): Running => {
  const { iter = 1, log, now = () => performance.now(), record, tag } = options
  const from = now()
  let measured: number | undefined
  const elapsed = (): number => measured ?? (now() - from) / 1000
  const stop = (): number => {
    if (measured !== undefined) return measured
    measured = elapsed()
    log?.(message(name, measured))
    if (tag !== undefined) record?.(metrics(options, tag, measured, iter))
    return measured
  }
  return { elapsed, stop, [Symbol.dispose]: stop }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const message = (name: string, seconds: number): string => `${name} took ${seconds.toFixed(3)} seconds`

const metrics = (options: { readonly prefix?: string | undefined }, tag: string, dt: number, iter: number): Metrics => {
  const name = [options.prefix ?? "", tag].map((part) => part.replace(/\/+$/, "")).filter((part) => part !== "").join(
    "/"
  )
  return { [`${name}/dt`]: dt, [`${name}/iter`]: iter }
}
