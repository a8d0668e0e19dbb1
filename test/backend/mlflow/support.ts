import * as Effect from "effect/Effect"
import type * as Backend from "../../../src/Backend.ts"
import type { Metrics } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"

export const row = (seq: number, metrics: Metrics, more: Partial<Row> = {}): Row => ({
  seq,
  step: seq - 1,
  timestamp: 1_764_000_000 + seq / 4,
  rank: 0,
  metrics,
  statistics: undefined,
  ...more
})

export const context = (directory: string, more: Partial<Backend.Context> = {}): Backend.Context => ({
  runId: "bright-fox-7",
  runName: undefined,
  projectName: "project",
  projectGiven: true,
  directory,
  config: {},
  keys: [],
  environment: {},
  createdAt: 1_764_000_000.25,
  live: true,
  facts: Effect.succeed({}),
  checkpoint: undefined,
  ...more
})

/** What a supervisor keeps of a checkpoint. */
export const kept = (checkpoint: unknown): unknown => JSON.parse(JSON.stringify(checkpoint ?? null)) ?? undefined
