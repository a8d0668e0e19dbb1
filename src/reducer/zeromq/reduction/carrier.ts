/**
 * Another way for frames beside the sockets, which comes and goes: where a cluster has a faster one between its GPUs.
 *
 * Frames are what they always are. Those that a carrier was given stay in their rank's ring until the root has no need of
 * them, like all others: where the carrier is given up, what it has not brought is sent again over the sockets, and what it
 * has brought is dropped there by its number. So it can lose nothing, and nothing is counted twice.
 *
 * Carriers talk to one another over the sockets (frames of type `carry`), which only those ranks can that have a
 * connection to the root: with a carrier there are no aggregators.
 *
 * @since 0.4.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Rank } from "../../../Rank.ts"
import type { JsonObject } from "../Frame.ts"

/** Both sides of one. */
export interface Carrier {
  readonly root: (side: RootSide) => Effect.Effect<RootCarrier, never, Scope.Scope>
  readonly follower: (side: FollowerSide) => Effect.Effect<FollowerCarrier, never, Scope.Scope>
}

/** What the root's part of a carrier has to work with. */
export interface RootSide {
  readonly rank: Rank
  readonly tell: (rank: number, body: JsonObject) => void
  /** Takes frames of a rank as if they had come through its socket. */
  readonly take: (frames: ReadonlyArray<{ readonly rank: number; readonly frame: Uint8Array }>) => void
}

/** The root's part of a carrier. */
export interface RootCarrier {
  /** A rank's part says something. */
  readonly told: (rank: number, incarnation: number, body: JsonObject) => void
  /** A rank is there (again). */
  readonly came: (rank: number, incarnation: number) => void
  readonly left: (rank: number) => void
  /** The run ends: what is still to come, comes over the sockets. */
  readonly leave: () => void
}

/** What a rank's part of a carrier has to work with. */
export interface FollowerSide {
  readonly rank: Rank
  /** False: it cannot be told now. */
  readonly tell: (body: JsonObject) => boolean
  /** All that the root has not taken is to be sent again. */
  readonly again: () => void
}

/** A rank's part of a carrier. */
export interface FollowerCarrier {
  /** Whether it takes frames now; else they go through the socket. */
  readonly isUp: () => boolean
  /** False: it has enough for now. */
  readonly send: (frame: Uint8Array) => boolean
  /** That was all for now. */
  readonly sent: () => void
  readonly told: (body: JsonObject) => void
  /** The run ends: what is still to be said goes over the socket. */
  readonly leave: () => void
}
