/**
 * Lines with fewer points than they had: of each stretch the smallest and the largest value in their order, or one
 * number. Nothing is invented, and no peak is lost.
 *
 * @since 0.5.0
 */
import type { Points } from "../Series.ts"

/**
 * At most `stretches` pieces with two points each, and a gap (NaN) for each that has no value.
 *
 * @category thinning
 * @since 0.5.0
 */
export const extremes = (points: Points, stretches: number): Points => {
  const { x, y } = points
  if (y.length <= 2 * stretches) return points
  const outX: Array<number> = []
  const outY: Array<number> = []
  for (let nth = 0; nth < stretches; nth++) {
    const from = start(nth, y.length, stretches)
    const to = start(nth + 1, y.length, stretches)
    let min = -1
    let max = -1
    for (let i = from; i < to; i++) {
      if (Number.isNaN(y[i])) continue
      if (min < 0 || y[i]! < y[min]!) min = i
      if (max < 0 || y[i]! > y[max]!) max = i
    }
    const kept = min < 0 ? [from] : min === max ? [min] : [Math.min(min, max), Math.max(min, max)]
    for (const i of kept) {
      outX.push(x[i]!)
      outY.push(y[i]!)
    }
  }
  return { x: Float64Array.from(outX), y: Float64Array.from(outY) }
}

/**
 * At most `stretches` points: of each stretch the mean, the smallest or the largest of its values.
 *
 * @category thinning
 * @since 0.5.0
 */
export const line = ({ x, y }: Points, stretches: number, keep: "mean" | "min" | "max"): Points => {
  if (y.length <= stretches) return { x, y }
  const outX = new Float64Array(stretches)
  const outY = new Float64Array(stretches)
  for (let nth = 0; nth < stretches; nth++) {
    const from = start(nth, y.length, stretches)
    const to = start(nth + 1, y.length, stretches)
    let place = 0
    let count = 0
    let value = NaN
    let whole = true
    for (let i = from; i < to; i++) {
      whole &&= Number.isInteger(x[i])
      place += (x[i]! - place) / (i - from + 1)
      const one = y[i]!
      if (Number.isNaN(one)) continue
      count++
      if (count === 1) value = one
      // A running mean: a sum of large numbers might overflow.
      else if (keep === "mean") value += one / count - value / count
      else value = keep === "min" ? Math.min(value, one) : Math.max(value, one)
    }
    // Between whole steps a whole one, there is no step 2.5: the nearest, of two the first.
    outX[nth] = whole ? Math.ceil(place - 0.5) : place
    outY[nth] = value
  }
  return { x: outX, y: outY }
}

const start = (nth: number, length: number, stretches: number): number => Math.floor(nth * length / stretches)
