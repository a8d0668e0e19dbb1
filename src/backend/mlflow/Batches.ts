/**
 * Records as requests: in their order, each within what `runs/log-batch` takes: at most 1000 metrics and 1 MB.
 *
 * A mark says how far the records were sent: all up to a `seq`, and of the next one so many points. A request is made
 * from a mark and leads to the next, so that after an interruption the work goes on where it was, and makes the same
 * points again.
 *
 * @since 0.2.0
 */
import type { Row } from "../../Row.ts"
import type { Maker, Point } from "./Points.ts"
import * as Position from "./Position.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How far records were sent. `position` is the one before the record that comes next.
 *
 * @category models
 * @since 0.2.0
 */
export interface Mark {
  readonly seq: number
  readonly part: number
  readonly position: Position.Position
}

/**
 * The points of one request, and how far it leads.
 *
 * @category models
 * @since 0.2.0
 */
export interface Batch {
  readonly points: ReadonlyArray<Point>
  readonly next: Mark
}

/**
 * The most points in a request.
 *
 * @category models
 * @since 0.2.0
 */
export const mostPoints = 1000

/**
 * The most bytes in a request: what it takes, less what stands around the points.
 *
 * @category models
 * @since 0.2.0
 */
export const mostBytes = 900_000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The next request; undefined when all records are sent. It is without points where the records have none.
 *
 * @category constructors
 * @since 0.2.0
 */
export const next = (rows: ReadonlyArray<Row>, mark: Mark, maker: Maker): Batch | undefined => {
  let at = 0
  while (at < rows.length && (rows[at]?.seq ?? 0) <= mark.seq) at++
  if (at >= rows.length) return undefined
  const position = Position.copy(mark.position)
  const points: Array<Point> = []
  let bytes = 0
  let { part, seq } = mark
  for (; at < rows.length; at++) {
    const row = rows[at]
    if (row === undefined) break
    const place = Position.place(position, row)
    const all = maker.points(row, place)
    for (let i = part; i < all.length; i++) {
      const point = all[i]
      if (point === undefined) break
      // A point is far smaller than a request: what is full holds one at least.
      if (points.length >= mostPoints || bytes + point.bytes + 1 > mostBytes) {
        return { points, next: { seq, part: i, position } }
      }
      points.push(point)
      bytes += point.bytes + 1
    }
    Position.advance(position, place)
    seq = row.seq
    part = 0
    if (points.length >= mostPoints) break
  }
  return { points, next: { seq, part: 0, position } }
}

/**
 * The request's body.
 *
 * @category encoding
 * @since 0.2.0
 */
export const body = (runId: string, points: ReadonlyArray<Point>): string =>
  `{"run_id":${JSON.stringify(runId)},"metrics":[${points.map((point) => point.text).join(",")}]}`
