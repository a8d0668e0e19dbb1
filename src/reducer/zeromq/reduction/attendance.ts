/**
 * Who is missing, for a person to read: ranks that are waited for, that have not come, that are gone, that are back. What
 * happens at about the same time is said at once, and where it does not end, ever more seldom.
 */
import * as RankSet from "../RankSet.ts"

export interface Said {
  readonly isWarning: boolean
  readonly text: string
}

/** How it is: ranks that have never come, and whether records wait. */
export interface State {
  readonly absent: () => ReadonlyArray<number>
  readonly isComplete: boolean
  readonly isWaiting: boolean
}

const gatherMillis = 1000
const mostMillis = 60_000
/** Jobs do not start up equally fast. */
const waitMillis = 5000

export class Attendance {
  readonly #startedAt: number
  readonly #joinUntil: number
  /** Those of whom it was said that they are gone. */
  readonly #gone = new Set<number>()
  readonly #lost = new Set<number>()
  readonly #back = new Set<number>()
  #since: number | undefined
  #pause = gatherMillis
  #waiting: "not said" | "said" | "over" = "not said"

  constructor(startedAt: number, joinUntil: number) {
    this.#startedAt = startedAt
    this.#joinUntil = joinUntil
  }

  lost(rank: number, now: number): void {
    if (this.#back.delete(rank) || this.#gone.has(rank)) return
    this.#lost.add(rank)
    this.#since ??= now
  }

  came(rank: number, now: number): void {
    if (this.#lost.delete(rank) || !this.#gone.has(rank)) return
    this.#back.add(rank)
    this.#since ??= now
  }

  /** What there is to say; with `force` nothing is waited for. */
  say(now: number, state: State, force = false): ReadonlyArray<Said> {
    return [...this.#sayAbsent(now, state), ...this.#sayGone(now, force)]
  }

  #sayAbsent(now: number, { absent, isComplete, isWaiting }: State): ReadonlyArray<Said> {
    if (this.#waiting === "over") return []
    if (isComplete) {
      const wasSaid = this.#waiting === "said"
      this.#waiting = "over"
      return wasSaid ? [{ isWarning: false, text: "All ranks are there" }] : []
    }
    if (now >= this.#joinUntil && isWaiting) {
      this.#waiting = "over"
      return [{ isWarning: true, text: sentence(absent(), "has not come: records go", "have not come: records go") }]
    }
    if (this.#waiting === "said" || !isWaiting || now - this.#startedAt < waitMillis) return []
    this.#waiting = "said"
    return [{ isWarning: false, text: `Waiting for ${named(absent())}` }]
  }

  #sayGone(now: number, force: boolean): ReadonlyArray<Said> {
    if (this.#lost.size + this.#back.size === 0) this.#since = undefined
    if (this.#since === undefined || (now - this.#since < this.#pause && !force)) return []
    const said: Array<Said> = []
    if (this.#lost.size > 0) {
      said.push({ isWarning: true, text: sentence([...this.#lost], "is gone: records go", "are gone: records go") })
    }
    if (this.#back.size > 0) {
      said.push({
        isWarning: false,
        text: `${capital(named([...this.#back]))} ${this.#back.size === 1 ? "is" : "are"} back`
      })
    }
    for (const rank of this.#lost) this.#gone.add(rank)
    for (const rank of this.#back) this.#gone.delete(rank)
    this.#lost.clear()
    this.#back.clear()
    this.#since = undefined
    this.#pause = Math.min(mostMillis, 2 * this.#pause)
    return said
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const mostNamed = 8

const sentence = (ranks: ReadonlyArray<number>, one: string, several: string): string =>
  `${capital(named(ranks))} ${ranks.length === 1 ? `${one} on without it` : `${several} on without them`}`

/** `rank 2`, `ranks 2, 5-9`. */
const named = (ranks: ReadonlyArray<number>): string => {
  const set = RankSet.of(ranks.toSorted((a, b) => a - b))
  const runs: Array<string> = []
  for (let i = 0; i < set.length && runs.length < mostNamed; i += 2) {
    const [first, last] = [set[i]!, set[i + 1]!]
    runs.push(first === last ? String(first) : `${first}-${last}`)
  }
  const rest = RankSet.size(set.subarray(2 * mostNamed))
  return `rank${ranks.length === 1 ? "" : "s"} ${runs.join(", ")}${
    rest === 0 ? "" : ` and ${rest.toLocaleString("en")} more`
  }`
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
