/**
 * One-pass folds over chunks, and how they compose.
 *
 * A run is a log, and everything that is made of it is a fold: a dataset, a plot, a report. A fold opens (takes its
 * memory, creates its file), is pushed chunk after chunk, and is done (closes the file, gives its result). Folds are
 * values: `all` runs any number of them in one pass over the input, `map` and `mapEffect` change what they give,
 * `mapInput` and `filter` what they see, `toSink` makes one a sink of a stream.
 *
 * Laws, held by the tests: how the input is cut into chunks changes nothing; `all` gives what each fold gives alone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A fold of `A`s into one `B`. Opening it may acquire what must be released: the scope is the pass over the input.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fold<in A, out B, out E = never, out R = never> {
  readonly open: Effect.Effect<Running<A, B, E, R>, E, R | Scope.Scope>
}

/**
 * A fold under way. `push` is called once per chunk, `done` once at the end of the input.
 *
 * @category models
 * @since 0.1.0
 */
export interface Running<in A, out B, out E = never, out R = never> {
  readonly push: (chunk: ReadonlyArray<A>) => Effect.Effect<void, E, R>
  readonly done: Effect.Effect<B, E, R>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A pure fold: a fresh state, a step per element that changes it or gives the next one, and what comes out.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fold } from "ezpz-stream"
 *
 * const sum = Fold.make(() => 0, (total: number, n: number) => total + n, (total) => total)
 * assert.strictEqual(Effect.runSync(Fold.run(Stream.make(1, 2, 3), sum)), 6)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <S, A, B>(
  initial: () => S,
  step: (state: S, element: A) => S,
  done: (state: S) => B
): Fold<A, B> => ({
  open: Effect.sync(() => {
    let state = initial()
    return {
      push: (chunk) =>
        Effect.sync(() => {
          for (const element of chunk) state = step(state, element)
        }),
      done: Effect.sync(() => done(state))
    }
  })
})

/**
 * A fold that reads, writes or allocates: see {@link Running}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEffect = <A, B, E, R>(
  open: Effect.Effect<Running<A, B, E, R>, E, R | Scope.Scope>
): Fold<A, B, E, R> => ({ open })

/**
 * The fold that looks at nothing and gives `value`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const succeed = <B>(value: B): Fold<unknown, B> => make(() => value, (state) => state, (state) => state)

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

type Any = Fold<never, unknown, unknown, unknown>
type InputOf<F> = F extends Fold<infer A, infer _B, infer _E, infer _R> ? A : never
type OutputOf<F> = F extends Fold<never, infer B, infer _E, infer _R> ? B : never
type ErrorOf<F> = F extends Fold<never, infer _B, infer E, infer _R> ? E : never
type ServicesOf<F> = F extends Fold<never, infer _B, infer _E, infer R> ? R : never
type Intersect<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never

/**
 * Runs all folds of a record in one pass and gives their results under the same names.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Fold } from "ezpz-stream"
 *
 * const count = Fold.make(() => 0, (n: number, _: number) => n + 1, (n) => n)
 * const max = Fold.make(() => -Infinity, (m: number, n: number) => Math.max(m, n), (m) => m)
 * const both = Fold.run(Stream.make(3, 9, 4), Fold.all({ count, max }))
 * assert.deepStrictEqual(Effect.runSync(both), { count: 3, max: 9 })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const all = <const F extends { readonly [name: string]: Any }>(
  folds: F
): Fold<
  Intersect<InputOf<F[keyof F]>>,
  { readonly [K in keyof F]: OutputOf<F[K]> },
  ErrorOf<F[keyof F]>,
  ServicesOf<F[keyof F]>
> => {
  type A = Intersect<InputOf<F[keyof F]>>
  type B = { readonly [K in keyof F]: OutputOf<F[K]> }
  type E = ErrorOf<F[keyof F]>
  type R = ServicesOf<F[keyof F]>
  const members = folds as unknown as { readonly [name: string]: Fold<A, unknown, E, R> }
  const open: Fold<A, B, E, R>["open"] = Effect.map(
    Effect.forEach(Object.entries(members), ([name, fold]) => Effect.map(fold.open, (running) => ({ name, running }))),
    (opened) => ({
      push: (chunk: ReadonlyArray<A>) =>
        Effect.forEach(opened, ({ running }) => running.push(chunk), { discard: true }),
      done: Effect.map(
        Effect.forEach(opened, ({ name, running }) => Effect.map(running.done, (result) => [name, result] as const)),
        (results) => Object.fromEntries(results) as B
      )
    })
  )
  return { open }
}

/**
 * Changes what a fold gives.
 *
 * @category combinators
 * @since 0.1.0
 */
export const map: {
  <B, C>(f: (result: B) => C): <A, E, R>(self: Fold<A, B, E, R>) => Fold<A, C, E, R>
  <A, B, E, R, C>(self: Fold<A, B, E, R>, f: (result: B) => C): Fold<A, C, E, R>
} = dual(
  2,
  <A, B, E, R, C>(self: Fold<A, B, E, R>, f: (result: B) => C): Fold<A, C, E, R> => ({
    open: Effect.map(self.open, (running) => ({ push: running.push, done: Effect.map(running.done, f) }))
  })
)

/**
 * Goes on with an effect once a fold is done: draws what it collected, writes the file.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mapEffect: {
  <B, C, E2, R2>(
    f: (result: B) => Effect.Effect<C, E2, R2>
  ): <A, E, R>(self: Fold<A, B, E, R>) => Fold<A, C, E | E2, R | R2>
  <A, B, E, R, C, E2, R2>(
    self: Fold<A, B, E, R>,
    f: (result: B) => Effect.Effect<C, E2, R2>
  ): Fold<A, C, E | E2, R | R2>
} = dual(
  2,
  <A, B, E, R, C, E2, R2>(
    self: Fold<A, B, E, R>,
    f: (result: B) => Effect.Effect<C, E2, R2>
  ): Fold<A, C, E | E2, R | R2> => ({
    open: Effect.map(
      self.open,
      (running): Running<A, C, E | E2, R | R2> => ({ push: running.push, done: Effect.flatMap(running.done, f) })
    )
  })
)

/**
 * Changes what a fold sees.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mapInput: {
  <A, A2>(f: (element: A2) => A): <B, E, R>(self: Fold<A, B, E, R>) => Fold<A2, B, E, R>
  <A, B, E, R, A2>(self: Fold<A, B, E, R>, f: (element: A2) => A): Fold<A2, B, E, R>
} = dual(
  2,
  <A, B, E, R, A2>(self: Fold<A, B, E, R>, f: (element: A2) => A): Fold<A2, B, E, R> => ({
    open: Effect.map(self.open, (running) => ({ push: (chunk) => running.push(chunk.map(f)), done: running.done }))
  })
)

/**
 * Shows a fold only the elements that satisfy a predicate.
 *
 * @category combinators
 * @since 0.1.0
 */
export const filter: {
  <A>(predicate: (element: A) => boolean): <B, E, R>(self: Fold<A, B, E, R>) => Fold<A, B, E, R>
  <A, B, E, R>(self: Fold<A, B, E, R>, predicate: (element: A) => boolean): Fold<A, B, E, R>
} = dual(
  2,
  <A, B, E, R>(self: Fold<A, B, E, R>, predicate: (element: A) => boolean): Fold<A, B, E, R> => ({
    open: Effect.map(self.open, (running) => ({
      push: (chunk) => running.push(chunk.filter(predicate)),
      done: running.done
    }))
  })
)

// -----------------------------------------------------------------------------
// Running
// -----------------------------------------------------------------------------

/**
 * A fold as a sink, for `Stream.run`.
 *
 * @category running
 * @since 0.1.0
 */
export const toSink = <A, B, E, R>(fold: Fold<A, B, E, R>): Sink.Sink<B, A, never, E, R> =>
  Sink.unwrap(
    Effect.map(fold.open, (running) =>
      Sink.forEachArray((chunk: ReadonlyArray<A>) =>
        running.push(chunk)
      ).pipe(Sink.mapEffect(() => running.done)))
  )

/**
 * Runs a fold over a stream.
 *
 * @category running
 * @since 0.1.0
 */
export const run: {
  <A, B, E2, R2>(
    fold: Fold<A, B, E2, R2>
  ): <E, R>(stream: Stream.Stream<A, E, R>) => Effect.Effect<B, E | E2, R | R2>
  <A, E, R, B, E2, R2>(
    stream: Stream.Stream<A, E, R>,
    fold: Fold<A, B, E2, R2>
  ): Effect.Effect<B, E | E2, R | R2>
} = dual(
  2,
  <A, E, R, B, E2, R2>(stream: Stream.Stream<A, E, R>, fold: Fold<A, B, E2, R2>) => Stream.run(stream, toSink(fold))
)
