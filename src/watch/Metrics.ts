/**
 * The metrics of a run that is watched, under the names they are shown by: the log's own, and the machine's in the group
 * `system`.
 *
 * @since 0.5.0
 */
import type { Live } from "../view/Live.ts"
import type { Bins, Series } from "../view/Series.ts"
import { filter } from "../view/Smooth.ts"
import type { State } from "./App.ts"

/**
 * Which metrics are shown, and all groups. `problem` says why the filter cannot be used.
 *
 * @category models
 * @since 0.5.0
 */
export interface Shown {
  readonly names: ReadonlyArray<string>
  readonly groups: ReadonlyArray<string>
  readonly all: number
  readonly problem: string | undefined
}

/**
 * The group of the machine's own metrics.
 *
 * @category models
 * @since 0.5.0
 */
export const systemGroup = "system"

/**
 * The series of a name, and whether it is the machine's.
 *
 * @category queries
 * @since 0.5.0
 */
export const find = (
  live: Live,
  name: string
): { readonly series: Series; readonly system: boolean } | undefined => {
  const own = live.store.series.get(name)
  if (own !== undefined) return { series: own, system: false }
  const series = name.startsWith(`${systemGroup}/`)
    ? live.system.series.get(name.slice(systemGroup.length + 1))
    : undefined
  return series === undefined ? undefined : { series, system: true }
}

/**
 * What a metric is told by: what all ranks had, if there are several.
 *
 * @category queries
 * @since 0.5.1
 */
export const main = ({ across, spread, values }: Series): Bins =>
  across === "ranks" && spread !== undefined ? spread : values

/**
 * The least and the greatest of all values; undefined where none is finite.
 *
 * @category queries
 * @since 0.5.1
 */
export const extremes = (bins: Bins): { readonly low: number; readonly high: number } | undefined => {
  let [low, high] = [Infinity, -Infinity]
  for (let bin = 0; bin < bins.length; bin++) {
    if (bins.count[bin] === 0) continue
    low = Math.min(low, bins.low[bin]!)
    high = Math.max(high, bins.high[bin]!)
  }
  return low <= high ? { low, high } : undefined
}

/**
 * How far the values lie from each other at most; 0 where none is finite.
 *
 * @category queries
 * @since 0.5.1
 */
export const rangeOf = (bins: Bins): number => {
  const found = extremes(bins)
  return found === undefined ? 0 : found.high - found.low
}

/**
 * What a state shows of a run. Asked again, it answers at once as long as there are no other metrics.
 *
 * @category constructors
 * @since 0.5.0
 */
export const selector = (): (live: Live, state: Pick<State, "group" | "pattern" | "typed">) => Shown => {
  let known = ""
  let store: unknown
  let shown: Shown = { names: [], groups: [], all: 0, problem: undefined }
  return (live, { group, pattern, typed }) => {
    // What is being typed is shown as far as it can be.
    const wanted = typed ?? pattern
    const now = JSON.stringify([live.store.series.size, live.system.series.size, group, wanted])
    if (known === now && store === live.store) return shown
    known = now
    store = live.store
    const groups = new Set<string>()
    const names: Array<string> = []
    for (const series of live.store.series.values()) {
      groups.add(series.group)
      if (group === undefined || series.group === group) names.push(series.key)
    }
    for (const key of live.system.series.keys()) {
      groups.add(systemGroup)
      const name = `${systemGroup}/${key}`
      if ((group === undefined || group === systemGroup) && !live.store.series.has(name)) names.push(name)
    }
    const found = filter(names, wanted)
    shown = {
      names: found._tag === "Matched" ? found.names : typed === undefined ? names : shown.names,
      groups: Array.from(groups),
      all: live.store.series.size + live.system.series.size,
      problem: found._tag === "Matched" ? undefined : found.reason
    }
    return shown
  }
}
