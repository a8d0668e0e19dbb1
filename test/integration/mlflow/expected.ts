/**
 * Records as a test wants to see them on the server, worked out in a way of its own: for each name the values in the
 * order of their steps, those of one step in the order they came.
 */
import type { Metrics, Value } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"

export type Expected = { [name: string]: Array<{ step: bigint; value: number | string; millis: number }> }

export const expected = (rows: ReadonlyArray<Row>, rename: (key: string) => string = (key) => key): Expected => {
  const out: Expected = {}
  let highest: bigint | undefined
  for (const row of rows) {
    const asked = row.step ?? Number(highest === undefined ? 0n : highest + 1n)
    const step = clamp(BigInt(Math.floor(asked)))
    if (highest === undefined || step > highest) highest = step
    const add = (key: string, value: Value | undefined): void => {
      const number = numberOf(value)
      if (number === undefined) return
      ;(out[rename(key)] ??= []).push({ step, value: number, millis: Math.round(row.timestamp * 1000) })
    }
    const statistics: Metrics = row.statistics?.values ?? {}
    for (const [key, value] of Object.entries(row.metrics)) {
      add(Object.hasOwn(statistics, `${key}/mean`) ? `${key}/local` : key, value)
    }
    for (const [key, value] of Object.entries(statistics)) add(key, value)
    if (Number(step) !== asked) add("ezpz/step", asked)
  }
  for (const points of Object.values(out)) points.sort((a, b) => a.step < b.step ? -1 : a.step > b.step ? 1 : 0)
  return out
}

const clamp = (step: bigint): bigint => {
  const [least, most] = [-(2n ** 63n), 2n ** 63n - 1024n]
  return step < least ? least : step > most ? most : step
}

const numberOf = (value: Value | undefined): number | string | undefined => {
  if (typeof value === "boolean") return Number(value)
  if (Array.isArray(value)) {
    const numbers: ReadonlyArray<number> = value.flat()
    return numbers.length === 0 ? undefined : numberOf(numbers.reduce((sum, item) => sum + item, 0) / numbers.length)
  }
  if (typeof value !== "number") return undefined
  if (Number.isNaN(value)) return "nan"
  return value === Infinity ? Number.MAX_VALUE : value === -Infinity ? -Number.MAX_VALUE : value + 0
}
