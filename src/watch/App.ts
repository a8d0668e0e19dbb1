/**
 * What `watch` shows, and how keys change it: a state, and a pure function from one to the next.
 *
 * @since 0.5.0
 */
import type { Axis } from "../view/Decimate.ts"
import { filter, longestPattern } from "../view/Smooth.ts"
import type { Options } from "./Chart.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is shown. `selected` is a metric's name, or undefined for the first; `group` the only group shown; `typed` a
 * filter that is being typed. In "detail", `window` is what of x is shown (undefined: all, and what comes) and `cursor`
 * an x in it. `ended` is the exit code once all is over.
 *
 * @category models
 * @since 0.5.0
 */
export interface State {
  readonly columns: number
  readonly rows: number
  readonly view: "grid" | "detail"
  readonly help: boolean
  readonly ranks: boolean
  readonly selected: string | undefined
  readonly group: string | undefined
  readonly pattern: string
  readonly typed: string | undefined
  readonly axis: Axis
  readonly log: boolean
  readonly smoothing: number
  readonly band: Options["band"]
  readonly density: number
  readonly window: { readonly from: number; readonly to: number } | undefined
  readonly cursor: number | undefined
  readonly ended: number | undefined
}

/**
 * Something happened: a key was pressed, or the terminal has another size.
 *
 * @category models
 * @since 0.5.0
 */
export type Event =
  | { readonly _tag: "Key"; readonly key: string }
  | { readonly _tag: "Resize"; readonly columns: number; readonly rows: number }

/**
 * What keys need to know of what is shown: the names that are shown, all groups, how many charts stand side by side and
 * on a page, and the extent of x of the selected one.
 *
 * @category models
 * @since 0.5.0
 */
export interface Context {
  readonly names: ReadonlyArray<string>
  readonly groups: ReadonlyArray<string>
  readonly across: number
  readonly page: number
  readonly extent: { readonly from: number; readonly to: number } | undefined
}

/**
 * The weights of smoothing that `s` goes through.
 *
 * @category models
 * @since 0.5.0
 */
export const weights: ReadonlyArray<number> = [0, 0.6, 0.9, 0.97, 0.99]

/**
 * How large charts are at least, from many small ones to few large ones.
 *
 * @category models
 * @since 0.5.0
 */
export const densities: ReadonlyArray<{ readonly width: number; readonly height: number }> = [
  { width: 24, height: 5 },
  { width: 36, height: 7 },
  { width: 56, height: 12 },
  { width: 100, height: 20 }
]

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * What is shown at first.
 *
 * @category constructors
 * @since 0.5.0
 */
export const initial = (columns: number, rows: number, pattern = ""): State => ({
  columns,
  rows,
  view: "grid",
  help: false,
  ranks: false,
  selected: undefined,
  group: undefined,
  pattern,
  typed: undefined,
  axis: "step",
  log: false,
  smoothing: 0,
  band: "std",
  density: 1,
  window: undefined,
  cursor: undefined,
  ended: undefined
})

// -----------------------------------------------------------------------------
// Updates
// -----------------------------------------------------------------------------

/**
 * The state after an event.
 *
 * @category updating
 * @since 0.5.0
 */
export const update = (state: State, event: Event, context: Context): State => {
  if (event._tag === "Resize") return { ...state, columns: event.columns, rows: event.rows }
  const { key } = event
  if (key === "ctrl-c") return { ...state, ended: 130 }
  if (state.typed !== undefined) return typing(state, state.typed, key)
  if (state.help) return key === "q" ? { ...state, ended: 0 } : { ...state, help: false }
  const always = anywhere(state, key, context)
  if (always !== undefined) return always
  return state.view === "grid" ? inGrid(state, key, context) : inDetail(state, key, context)
}

/** A filter is used once it is entered; a bad one stays to be mended. */
const typing = (state: State, typed: string, key: string): State => {
  if (key === "escape") return { ...state, typed: undefined }
  if (key === "enter") {
    return filter([], typed)._tag === "BadPattern"
      ? state
      : { ...state, typed: undefined, pattern: typed, view: "grid" }
  }
  if (key === "ctrl-u") return { ...state, typed: "" }
  if (key === "backspace") return { ...state, typed: Array.from(typed).slice(0, -1).join("") }
  return Array.from(key).length === 1 && typed.length < longestPattern ? { ...state, typed: typed + key } : state
}

/** Keys that do the same everywhere. */
const anywhere = (state: State, key: string, { groups }: Context): State | undefined => {
  switch (key) {
    case "q":
    case "ctrl-d":
      return { ...state, ended: 0 }
    case "?":
      return { ...state, help: true }
    case "/":
      return { ...state, typed: state.pattern }
    case "y":
      return { ...state, log: !state.log }
    case "s":
      return { ...state, smoothing: next(weights, state.smoothing, 1) }
    case "S":
      return { ...state, smoothing: next(weights, state.smoothing, -1) }
    case "b":
      return { ...state, band: next(["std", "range", "off"] as const, state.band, 1) }
    case "r":
      return { ...state, ranks: !state.ranks }
    case "x":
      // What was selected of one axis means nothing on another.
      return {
        ...state,
        axis: next(["step", "relative"] as const, state.axis, 1),
        window: undefined,
        cursor: undefined
      }
    case "tab":
    case "shift-tab": {
      const all = [undefined, ...groups]
      const at = Math.max(0, all.indexOf(state.group)) + (key === "tab" ? 1 : all.length - 1)
      const group = all[at % all.length]
      return { ...state, group, selected: undefined, view: "grid", window: undefined, cursor: undefined }
    }
    default:
      return undefined
  }
}

const next = <A>(all: ReadonlyArray<A>, of: A, by: number): A => {
  const at = (all.indexOf(of) + by + all.length) % all.length
  return all[at] ?? of
}

const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value))

/** Where the selected metric stands; the first, if it is not there. */
const indexIn = ({ selected }: State, { names }: Context): number =>
  selected === undefined ? 0 : Math.max(0, names.indexOf(selected))

const select = (state: State, context: Context, to: number): State => ({
  ...state,
  selected: context.names[clamp(to, 0, context.names.length - 1)]
})

const inGrid = (state: State, key: string, context: Context): State => {
  const { across, names, page } = context
  const at = indexIn(state, context)
  switch (key) {
    case "left":
    case "h":
      return select(state, context, at - 1)
    case "right":
    case "l":
      return select(state, context, at + 1)
    case "up":
    case "k":
      return at < across ? state : select(state, context, at - across)
    case "down":
    case "j":
      // From a row above the last one into it, even where nothing stands below.
      return Math.floor(at / across) === Math.floor((names.length - 1) / across)
        ? state
        : select(state, context, at + across)
    case "pageup":
      return select(state, context, at - page)
    case "pagedown":
    case " ":
      return select(state, context, at + page)
    case "home":
    case "g":
      return select(state, context, 0)
    case "end":
    case "G":
      return select(state, context, names.length - 1)
    case "+":
    case "=":
      return { ...state, density: clamp(state.density + 1, 0, densities.length - 1) }
    case "-":
      return { ...state, density: clamp(state.density - 1, 0, densities.length - 1) }
    case "enter":
    case "z":
      return names.length === 0
        ? state
        : { ...select(state, context, at), view: "detail", window: undefined, cursor: undefined }
    case "escape":
      return state.pattern === "" ? { ...state, ranks: false } : { ...state, pattern: "" }
    default:
      return state
  }
}

const inDetail = (state: State, key: string, context: Context): State => {
  const { extent } = context
  const other = (by: number): State => ({
    ...select(state, context, indexIn(state, context) + by),
    window: undefined,
    cursor: undefined
  })
  switch (key) {
    case "escape":
      return state.cursor === undefined && state.window === undefined
        ? { ...state, view: "grid" }
        : { ...state, cursor: undefined, window: undefined }
    case "enter":
    case "z":
    case "backspace":
      return { ...state, view: "grid", window: undefined, cursor: undefined }
    case "down":
    case "j":
    case "n":
      return other(1)
    case "up":
    case "k":
    case "p":
      return other(-1)
  }
  if (extent === undefined) return state
  const window = state.window ?? extent
  const span = window.to - window.from
  const step = span / Math.max(1, 2 * state.columns)
  const cursor = state.cursor ?? window.to
  switch (key) {
    case "left":
    case "h":
      return moved(state, cursor - 2 * step, extent)
    case "right":
    case "l":
      return moved(state, cursor + 2 * step, extent)
    case "shift-left":
    case "H":
      return moved(state, cursor - 20 * step, extent)
    case "shift-right":
    case "L":
      return moved(state, cursor + 20 * step, extent)
    case "home":
    case "g":
      return moved(state, extent.from, extent)
    case "end":
    case "G":
      return moved(state, extent.to, extent)
    case "+":
    case "=":
      return zoomed(state, 0.5, cursor, extent)
    case "-":
      return zoomed(state, 2, cursor, extent)
    case "0":
      return { ...state, window: undefined }
    default:
      return state
  }
}

/** The window goes with a cursor that leaves it. */
const moved = (state: State, to: number, extent: { readonly from: number; readonly to: number }): State => {
  const cursor = clamp(to, extent.from, extent.to)
  const { window } = state
  if (window === undefined || (cursor >= window.from && cursor <= window.to)) return { ...state, cursor }
  const by = cursor < window.from ? cursor - window.from : cursor - window.to
  return { ...state, cursor, window: { from: window.from + by, to: window.to + by } }
}

/** What is under the cursor stays where it is. */
const zoomed = (
  state: State,
  factor: number,
  cursor: number,
  extent: { readonly from: number; readonly to: number }
): State => {
  const { from, to } = state.window ?? extent
  const span = (to - from) * factor
  if (span >= extent.to - extent.from) return { ...state, window: undefined }
  // Closer than this, numbers cannot tell places apart.
  if (!(span > 1e-9 * Math.max(1e-3, Math.abs(from), Math.abs(to)))) return state
  const left = clamp(cursor - (cursor - from) * factor, extent.from, extent.to - span)
  return { ...state, cursor, window: { from: left, to: left + span } }
}
