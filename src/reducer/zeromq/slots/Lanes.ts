/**
 * The lanes of all ranks, and what they take together.
 *
 * @since 0.5.2
 */
import { Lane, type Run } from "./Lane.ts"
import type { Pool } from "./Pool.ts"

export class Lanes {
  /** Of each rank that has one. */
  readonly of: Array<Lane | undefined>
  /** Those ranks. */
  readonly ranks: Array<number> = []
  /** Those to whose lanes something has come since it was asked last. */
  readonly arrived = new Set<number>()
  readonly #pool: Pool

  constructor(worldSize: number, pool: Pool) {
    this.of = Array.from({ length: worldSize }, () => undefined)
    this.#pool = pool
  }

  push(rank: number, run: Run): void {
    let lane = this.of[rank]
    if (lane === undefined) {
      this.of[rank] = lane = new Lane()
      this.ranks.push(rank)
    }
    lane.push(run)
    this.#pool.bytes += run.values.byteLength
    this.arrived.add(rank)
  }

  /** Whether nothing of a rank waits. */
  isEmpty(rank: number): boolean {
    return (this.of[rank]?.records ?? 0) === 0
  }

  /** Goes on to the next record of a lane. */
  next(lane: Lane): void {
    const before = lane.bytes
    lane.next()
    this.#pool.bytes += lane.bytes - before
  }

  /** The same, where the first was taken together with those of all other ranks. */
  take(lane: Lane): void {
    lane.markTaken()
    this.next(lane)
  }
}
