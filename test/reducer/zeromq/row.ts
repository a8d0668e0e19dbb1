import type { Metrics } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"

/** A record of rank 0, as a reduction gets it. */
export const row = (seq: number, step: number | undefined, metrics: Metrics): Row => ({
  seq,
  step,
  timestamp: seq,
  rank: 0,
  metrics,
  statistics: undefined
})
