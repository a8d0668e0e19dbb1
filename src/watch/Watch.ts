/**
 * `watch`: a run on the whole screen of a terminal, as long as somebody looks at it.
 *
 * One loop takes what happens in turn: keys, another size, something new in the run, a second gone by. Keys are answered
 * at once; what is new is drawn at most ten times a second, less often where drawing takes long (a large screen, a slow
 * machine): a fortieth of the time at most goes into it. Only the cells that changed are sent.
 *
 * @since 0.5.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Window } from "../view/Decimate.ts"
import * as Live from "../view/Live.ts"
import type { Series } from "../view/Series.ts"
import * as App from "./App.ts"
import * as Frame from "./Frame.ts"
import * as Keys from "./Keys.ts"
import * as Metrics from "./Metrics.ts"
import * as Once from "./Once.ts"
import * as Terminal from "./Terminal.ts"
import * as View from "./View.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `total`: how many steps there will be; `pattern`: which metrics are shown at first. `ended` completes with an exit code
 * when the process is asked to end.
 *
 * @category models
 * @since 0.5.0
 */
export interface Options {
  readonly total?: number | undefined
  readonly pattern?: string | undefined
  readonly color: boolean
  readonly ended: Effect.Effect<number>
}

/**
 * Bounds for a screen: it has no more dots than this across.
 *
 * @category models
 * @since 0.5.0
 */
export const limits = { bins: 1 << 19, capacity: 1 << 11 } as const

type Message =
  | Terminal.Message
  | { readonly _tag: "Live" }
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Settle" }
  | { readonly _tag: "Fine"; readonly key: string; readonly window: Window; readonly series: Series | undefined }
  | { readonly _tag: "Ended"; readonly code: number }

const frameMillis = 100
const slowestMillis = 1000
const share = 40
const escapeMillis = 50

// -----------------------------------------------------------------------------
// Running
// -----------------------------------------------------------------------------

/**
 * Shows a run until a key or a signal ends it; gives the exit code.
 *
 * @category running
 * @since 0.5.0
 */
export const run = (live: Live.Live, options: Options): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function*() {
    // Nothing is shown before there is something.
    yield* live.poll
    const messages = yield* Queue.unbounded<Message>()
    const tell = (message: Message): void => {
      Queue.offerUnsafe(messages, message)
    }
    const terminal = yield* Terminal.take(tell)
    const select = Metrics.selector()
    const { columns, rows } = terminal.size()
    let state = App.initial(columns, rows, options.pattern)
    let shown = select(live, state)
    let before: Frame.Frame | undefined
    let rest = ""
    let isTold = false
    let drawnAt = 0
    let pause = frameMillis
    let fine: Extract<Message, { readonly _tag: "Fine" }> | undefined
    let wanted: { readonly key: string; readonly window: Window } | undefined
    let fetching: Fiber.Fiber<void> | undefined

    yield* Effect.forkScoped(Effect.andThen(options.ended, (code) => Effect.sync(() => tell({ _tag: "Ended", code }))))
    yield* Effect.forkScoped(Stream.runForEach(Live.updates(live), () =>
      Effect.sync(() => {
        // What has not been drawn yet needs not be told again.
        if (!isTold) tell({ _tag: "Live" })
        isTold = true
      })))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(
      Effect.sleep(1000),
      Effect.sync(() => {
        if (live.state === "running") tell({ _tag: "Tick" })
      })
    )))

    const press = (keys: ReadonlyArray<string>): void => {
      for (const key of keys) {
        if (key === "ctrl-z") terminal.suspend()
        else if (key === "ctrl-l") before = undefined
        else {
          state = App.update(state, { _tag: "Key", key }, View.contextOf({ live, state, shown }))
          shown = select(live, state)
        }
      }
    }

    const handle = (message: Message): Effect.Effect<void, never, Scope.Scope> => {
      switch (message._tag) {
        case "Input": {
          const decoded = Keys.decode(rest + message.text)
          rest = decoded.rest
          press(decoded.keys)
          return rest === ""
            ? Effect.void
            : Effect.asVoid(Effect.forkScoped(
              Effect.andThen(Effect.sleep(escapeMillis), Effect.sync(() => tell({ _tag: "Settle" })))
            ))
        }
        case "Settle":
          press(Keys.settle(rest))
          rest = ""
          return Effect.void
        case "Resize":
          state = App.update(state, { _tag: "Resize", ...terminal.size() }, View.contextOf({ live, state, shown }))
          return Effect.void
        case "Redraw":
          before = undefined
          return Effect.void
        case "Fine":
          fine = message
          return Effect.void
        case "Closed":
          state = { ...state, ended: 0 }
          return Effect.void
        case "Ended":
          state = { ...state, ended: message.code }
          return Effect.void
        case "Live":
          isTold = false
          return Effect.void
        case "Tick":
          return Effect.void
      }
    }

    /** What a zoomed chart needs of the log is read beside; the last wish counts. */
    const refine = Effect.gen(function*() {
      const finer = View.finer({ live, state, shown })
      if (finer?.key === wanted?.key && isSame(finer?.window, wanted?.window)) return
      wanted = finer
      if (fetching !== undefined) yield* Fiber.interrupt(fetching)
      fetching = undefined
      if (finer === undefined) return
      fetching = yield* Effect.forkScoped(Effect.map(
        live.detail(finer.key, finer.window),
        (series) => tell({ _tag: "Fine", ...finer, series })
      ))
    })

    const draw = Effect.gen(function*() {
      drawnAt = yield* Clock.currentTimeMillis
      if (terminal.isBehind()) return
      const isFine = fine !== undefined && fine.key === wanted?.key && isSame(fine.window, wanted.window)
      const frame = View.draw({
        live,
        state,
        shown,
        now: drawnAt / 1000,
        total: options.total,
        fine: isFine ? fine?.series : undefined
      })
      const text = Frame.difference(before, frame, options.color)
      before = frame
      if (text !== "") terminal.write(text)
      const took = (yield* Clock.currentTimeMillis) - drawnAt
      pause = Math.max(frameMillis, Math.min(slowestMillis, share * (0.2 * took + 0.8 * pause / share)))
    })

    for (;;) {
      yield* draw
      const came = yield* Queue.takeAll(messages)
      const isUrgent = came.some(({ _tag }) => _tag !== "Live" && _tag !== "Tick")
      for (const message of came) yield* handle(message)
      if (state.ended !== undefined) return state.ended
      const since = (yield* Clock.currentTimeMillis) - drawnAt
      if (!isUrgent && since < pause) yield* Effect.sleep(pause - since)
      shown = select(live, state)
      yield* refine
    }
  })

const isSame = (a: Window | undefined, b: Window | undefined): boolean =>
  a === b ||
  (a !== undefined && b !== undefined && a.from === b.from && a.to === b.to && a.axis === b.axis &&
    a.columns === b.columns)

/**
 * A run as text, once it has been read as far as it goes.
 *
 * @category running
 * @since 0.5.0
 */
export const once = (
  live: Live.Live,
  options: { readonly columns: number; readonly total?: number | undefined; readonly pattern?: string | undefined }
): Effect.Effect<string> =>
  Effect.gen(function*() {
    while (yield* live.poll) yield* Effect.yieldNow
    const shown = Metrics.selector()(live, { group: undefined, pattern: options.pattern ?? "", typed: undefined })
    const now = yield* Clock.currentTimeMillis
    return Once.text(live, shown, { columns: options.columns, now: now / 1000, total: options.total })
  })
