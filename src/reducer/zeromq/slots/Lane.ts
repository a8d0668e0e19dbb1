/**
 * What a rank has said that the root has not come to yet, as it came: frames of records whose steps ascend. Most records are
 * taken from there when the root comes to their step and all ranks are at it; only where ranks differ are they put in slots.
 *
 * @since 0.5.2
 */
import type { Reading } from "./Columns.ts"
import type { Frame } from "./Open.ts"
import { Queue } from "./Queue.ts"

/** The records of a frame. */
export interface Run {
  readonly frame: Frame
  readonly reading: Reading
  readonly count: number
  readonly steps: Float64Array
  /** Row by row, `width` numbers each. */
  readonly values: Float64Array
  readonly width: number
}

export class Lane {
  /** The step of the first record; Infinity where there is none. */
  step = Infinity
  /** How its numbers are read, and where they begin. */
  reading: Reading | undefined
  values: Float64Array = none
  at = 0
  /** How many records there are, and what they take. */
  records = 0
  bytes = 0
  /** The step of the last. */
  last = -Infinity
  readonly #runs = new Queue<Run>()
  #run: Run | undefined
  #next = 0
  /** The latest step that was taken together with others', how many records of it, and how many were not said again. */
  #taken = -Infinity
  #times = 0
  #unsaid = 0

  /** The frame that the first record is of. */
  get frame(): Frame | undefined {
    return this.#run?.frame
  }

  push(run: Run): void {
    const { count, frame, steps, values } = run
    if (count === 0) return
    frame.waiting = count
    this.records += count
    this.bytes += values.byteLength
    this.last = steps[count - 1]!
    this.#runs.push(run)
    if (this.#run === undefined) this.#begin()
  }

  /** Goes on to the next record. */
  next(): void {
    const run = this.#run!
    run.frame.waiting--
    this.records--
    this.at += run.width
    if (++this.#next < run.count) this.step = run.steps[this.#next]!
    else {
      this.bytes -= run.values.byteLength
      this.#runs.shift()
      this.#begin()
    }
  }

  /** The first record is taken together with those of all other ranks. */
  markTaken(): void {
    this.#times = this.step === this.#taken ? this.#times + 1 : 1
    this.#taken = this.step
  }

  /** How many records of a step were taken so: all, of those before the latest. */
  takenAt(step: number): number {
    return step < this.#taken ? Infinity : step === this.#taken ? this.#times : 0
  }

  /** Whether the next that is said again of a step was taken so. */
  wasNextTaken(step: number): boolean {
    return step < this.#taken || (step === this.#taken && this.#unsaid-- > 0)
  }

  /** All that was not acknowledged is said again. */
  repeat(): void {
    this.#unsaid = this.#times
  }

  /** What comes is of another life. */
  forget(): void {
    this.#taken = -Infinity
  }

  #begin(): void {
    const run = this.#run = this.#runs.first()
    this.#next = 0
    this.at = 0
    this.step = run === undefined ? Infinity : run.steps[0]!
    this.reading = run?.reading
    this.values = run?.values ?? none
  }
}

const none = new Float64Array(0)
