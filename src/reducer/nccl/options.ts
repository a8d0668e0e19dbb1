/** What both sides go by. */
import * as Effect from "effect/Effect"
import type { JsonObject } from "../zeromq/Frame.ts"
import type { Bridge } from "./Client.ts"
import type { Failure } from "./Messages.ts"

/**
 * `choice`: NCCL is asked for, or taken where it is there. Times: how long all bridges have to come up; how long the
 * communicator has; how long what was planned may take; how long a plan waits for ranks that have nothing yet.
 */
export interface Options {
  readonly choice: "nccl" | "auto"
  readonly readyMillis: number
  readonly upMillis: number
  readonly planMillis: number
  readonly waitMillis: number
}

export const defaults = {
  readyMillis: 120_000,
  upMillis: 120_000,
  planMillis: 5000,
  waitMillis: 25
} as const

/** Why it is over. `quiet`: nobody has to know. */
export interface Trouble {
  readonly reason: string
  readonly quiet?: boolean | undefined
  readonly kind?: Failure["kind"] | undefined
}

export const numberIn = (body: JsonObject, key: string): number | undefined => {
  const value = body[key]
  return typeof value === "number" ? value : undefined
}

export const textIn = (body: JsonObject, key: string): string => {
  const value = body[key]
  return typeof value === "string" ? value : "for an unknown reason"
}

const leaveMillis = 5000

/** A communicator is given up, if the bridge can still do that. */
export const leaving = (bridge: Bridge): Effect.Effect<void> =>
  Effect.ignore(bridge.leave).pipe(Effect.timeoutOrElse({ duration: leaveMillis, orElse: () => Effect.void }))
