/** The ranks that aggregators speak for: each has one of them at a time. */
import { unreachableMillis } from "../options.ts"
import type { Life, Spoken } from "./Model.ts"

export class SpokenFor extends Map<number, Spoken> {
  /** Whether some may have to be named again: there are many, and seldom any of these. */
  #stale = false

  /** The ranks that an aggregator has named since it last began anew, and that have not said goodbye. */
  by(sender: number): ReadonlyArray<Life> {
    const lives: Array<Life> = []
    for (const [rank, { incarnation, left, sender: other, staleSince }] of this) {
      if (other === sender && !left && staleSince === undefined) lives.push({ rank, incarnation })
    }
    return lives
  }

  /** An aggregator is to name its ranks again. */
  makeStale(sender: number, time: number): void {
    this.#stale = true
    for (const spoken of this.values()) if (spoken.sender === sender) spoken.staleSince ??= time
  }

  /** Forgets, and gives, those that have not been named again in time. */
  expire(time: number): ReadonlyArray<Life> {
    const lives: Array<Life> = []
    if (!this.#stale) return lives
    this.#stale = false
    for (const [rank, { incarnation, left, staleSince }] of this) {
      if (left || staleSince === undefined) continue
      if (time - staleSince >= unreachableMillis) lives.push({ rank, incarnation })
      else this.#stale = true
    }
    for (const { rank } of lives) this.delete(rank)
    return lives
  }
}
