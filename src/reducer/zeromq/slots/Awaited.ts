/**
 * At which steps records of the root wait that have no slot yet: what is said of them must be kept, and is not settled.
 *
 * Steps mostly ascend: then those between the first and the last that wait count as awaited, which takes no looking up. Only
 * what is recorded below, where the root goes back, is counted step by step.
 *
 * @since 0.5.2
 */
export class Awaited {
  #rising = 0
  #low = Infinity
  #high = -Infinity
  readonly #below = new Map<number, number>()

  /** A record waits. Gives whether it rises, to be told when it waits no more. */
  add(step: number): boolean {
    if (this.#rising > 0 && step < this.#high) {
      this.#below.set(step, (this.#below.get(step) ?? 0) + 1)
      return false
    }
    if (this.#rising++ === 0) this.#low = step
    this.#high = step
    return true
  }

  /** The first that waits has been taken: those that rise begin at its step, or above. */
  remove(step: number, rises: boolean): void {
    if (rises) {
      this.#rising--
      this.#low = step
      return
    }
    const left = this.#below.get(step)! - 1
    if (left > 0) this.#below.set(step, left)
    else this.#below.delete(step)
  }

  /** The first that waits, if it rises: none waits below. */
  begin(step: number): void {
    this.#low = step
  }

  has(step: number): boolean {
    return (this.#rising > 0 && step >= this.#low && step <= this.#high) ||
      (this.#below.size > 0 && this.#below.has(step))
  }
}
