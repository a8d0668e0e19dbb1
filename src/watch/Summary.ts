/**
 * The lines at the top: which run, how it is, how far it has come, and what has not been delivered.
 *
 * @since 0.5.0
 */
import * as Text from "../artifact/tplot/Text.ts"
import type { Live, State } from "../view/Live.ts"
import type { Store } from "../view/Series.ts"
import * as Frame from "./Frame.ts"
import { count, duration, number, several } from "./Numbers.ts"

const { styles } = Frame

// -----------------------------------------------------------------------------
// Progress
// -----------------------------------------------------------------------------

/**
 * How far a run has come. `rate` is in steps per second, over the last records; `eta` in seconds, where a total is known
 * and the run goes on; `silent` is how long ago its last record came.
 *
 * @category models
 * @since 0.5.0
 */
export interface Progress {
  readonly step: number
  readonly total: number | undefined
  readonly rate: number | undefined
  readonly eta: number | undefined
  readonly elapsed: number
  readonly silent: number
}

const totalName = /^(?:total|max|num|n)[-_.]?(?:train(?:ing)?[-_.]?)?(?:steps|iters|iterations)$/i

/**
 * How many steps there will be: as it was said (`given`), as the run itself knows, as a metric `total_steps` says, or as
 * the configuration does.
 *
 * @category queries
 * @since 0.5.0
 */
export const totalOf = (live: Pick<Live, "run" | "store">, given: number | undefined): number | undefined => {
  if (given !== undefined) return given
  const known = live.run?.totalSteps ?? live.store.totalSteps
  if (known !== undefined) return known
  const search = (value: unknown, depth: number): number | undefined => {
    if (typeof value !== "object" || value === null || depth > 4) return undefined
    for (const [key, member] of Object.entries(value)) {
      const name = key.slice(Math.max(key.lastIndexOf("/"), key.lastIndexOf(".")) + 1)
      if (totalName.test(name) && typeof member === "number" && member > 0) return member
      const inside = search(member, depth + 1)
      if (inside !== undefined) return inside
    }
    return undefined
  }
  return search(live.run?.config, 0)
}

/** A run that has said nothing for so long may have stopped. */
const silentAfter = 15

/** Records this long before the last one still count for the rate. */
const rateSeconds = 60

const rateOf = ({ lastStep, lastTime, recent }: Store): number | undefined => {
  const first = recent.find(({ time }) => lastTime - time <= rateSeconds)
  const span = first === undefined ? 0 : lastTime - first.time
  return first === undefined || span <= 0 || lastStep <= first.step ? undefined : (lastStep - first.step) / span
}

/**
 * How far a run has come at a time, in seconds since 1970.
 *
 * @category queries
 * @since 0.5.0
 */
export const progress = (
  live: Pick<Live, "run" | "store" | "state">,
  now: number,
  given: number | undefined
): Progress => {
  const { run, state, store } = live
  const rate = rateOf(store)
  const total = totalOf(live, given)
  const silent = now - store.lastTime
  const began = run === undefined || run.createdAt <= 0 ? store.firstTime : run.createdAt
  return {
    step: store.lastStep,
    total,
    rate,
    // Of a run that has stopped speaking nobody knows.
    eta: state === "running" && rate !== undefined && total !== undefined && silent < Math.max(silentAfter, 10 / rate)
      ? Math.max(0, total - store.lastStep) / rate
      : undefined,
    elapsed: Math.max(0, (state === "running" ? now : store.lastTime) - began),
    silent
  }
}

// -----------------------------------------------------------------------------
// Drawing
// -----------------------------------------------------------------------------

/** A word with what it means; the less it weighs the sooner there is no room for it. */
interface Item {
  readonly label: string
  readonly value: string
  readonly style: Frame.Style
  readonly weight: number
}

const colorOf: Readonly<Record<State, Frame.Style>> = {
  running: styles.green,
  finished: styles.blue,
  failed: styles.red,
  killed: styles.yellow,
  gone: styles.red,
  unknown: styles.grey
}

/**
 * Which run it is, and how it is.
 *
 * @category queries
 * @since 0.5.0
 */
export const nameOf = ({ directory, run }: Pick<Live, "directory" | "run">): string => {
  const id = run?.runId ?? directory.slice(directory.lastIndexOf("/") + 1)
  const name = run?.runName === undefined || run.runName === null || run.runName === id ? id : `${run.runName} (${id})`
  return run === undefined || run.projectName === "" ? name : `${run.projectName} / ${name}`
}

const itemsOf = (live: Live, progress: Progress): ReadonlyArray<Item> => {
  const { eta, elapsed, rate, silent, step, total } = progress
  const item = (label: string, value: string, weight: number, style: Frame.Style = styles.plain): Item => ({
    label,
    value,
    weight,
    style
  })
  const items: Array<Item> = []
  const { store } = live
  if (store.rows > 0) {
    items.push(
      item("step", total === undefined ? count(step) : `${count(step)}/${count(total)} ${bar(step / total)}`, 9)
    )
    if (rate !== undefined) {
      items.push(item("", rate >= 1 || rate === 0 ? `${number(rate)} steps/s` : `${number(1 / rate)} s/step`, 7))
    }
    if (eta !== undefined) items.push(item("ETA", duration(eta), 8))
    items.push(item("elapsed", duration(elapsed), 6))
  }
  if (live.undelivered.length > 0) {
    const value = live.undelivered.map(({ backend, outputs, records }) =>
      `${backend} ${records > 0 || outputs === 0 ? count(records) : several(outputs, "file")}`
    ).join(", ")
    items.push(item("undelivered", value, 8.5, styles.yellow))
  }
  if (live.ranks.worldSize > 1) items.push(item("ranks", count(live.ranks.worldSize), 3))
  if (store.rows > 0) items.push(item("records", live.sampled ? "…" : count(store.rows), 2))
  if (live.corrupt > 0) items.push(item("torn lines", count(live.corrupt), 4, styles.yellow))
  if (live.state === "running" && silent > silentAfter) {
    items.push(item("last record", `${duration(silent)} ago`, 4, styles.yellow))
  }
  return items
}

const bar = (fraction: number): string => {
  const part = Math.max(0, Math.min(1, fraction))
  const filled = Math.round(part * 10)
  return `${"━".repeat(filled)}${"─".repeat(10 - filled)} ${Math.floor(part * 100)}%`
}

const notice = (live: Live): string | undefined =>
  live.state === "gone"
    ? "its log was deleted or moved; this is what was read"
    : live.error !== undefined
    ? live.error
    : live.sampled
    ? `reading ${Math.floor(100 * live.read / Math.max(1, live.size))}%`
    : live.store.rows === 0
    ? "no records yet"
    : undefined

/**
 * Draws the summary into one or two rows.
 *
 * @category drawing
 * @since 0.5.0
 */
export const draw = (frame: Frame.Frame, box: Frame.Box, live: Live, progress: Progress): void => {
  if (box.height < 1) return
  const state = live.state === "unknown" ? "log" : live.state
  let at = Frame.write(frame, box.top, box.left, "●", colorOf[live.state])
  at += 1 + Frame.write(frame, box.top, at + 1, state, colorOf[live.state] | styles.bold)
  at += 2 + Frame.write(frame, box.top, at + 2, nameOf(live), styles.bold, Math.max(0, box.width - at - 2))
  const told = notice(live)
  if (told !== undefined) {
    const style = live.state === "gone" || live.error !== undefined ? styles.red : styles.yellow
    const room = Math.max(0, box.width - at - 2)
    // Of a name and a notice that do not both fit, the notice is what is new.
    const text = Text.fit(Text.label(told), Math.max(room, Math.min(box.width - 12, 52)))
    Frame.write(frame, box.top, Math.max(0, box.width - Text.width(text)), text, style)
    const before = box.width - Text.width(text) - 1
    if (before >= 0 && before < at) Frame.write(frame, box.top, before, " ")
  }
  if (box.height < 2) return
  const all = itemsOf(live, progress)
  let shown = all
  const width = (items: ReadonlyArray<Item>): number =>
    items.reduce(
      (sum, { label, value }) => sum + Text.width(label) + (label === "" ? 0 : 1) + Text.width(value) + 3,
      -3
    )
  while (shown.length > 1 && width(shown) > box.width) {
    const least = Math.min(...shown.map(({ weight }) => weight))
    shown = shown.filter(({ weight }, nth) =>
      weight !== least || shown.findLastIndex((one) => one.weight === least) !== nth
    )
  }
  at = box.left
  for (const { label, style, value } of shown) {
    if (label !== "") at += 1 + Frame.write(frame, box.top + 1, at, label, styles.grey)
    at += 3 + Frame.write(frame, box.top + 1, at, value, style)
  }
}
