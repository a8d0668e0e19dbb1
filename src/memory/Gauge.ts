/**
 * Reads a device's memory from time to time, and keeps the most there has been.
 *
 * Drivers do not tell a peak, so it is that of the readings: what was allocated and freed between two of them is not seen.
 * (Frameworks keep what they have freed, so that at the driver memory falls seldom.)
 *
 * @since 0.4.0
 */
import type { Device } from "../system/Devices.ts"

/** Bytes: taken by processes, taken at all, and the most of both since the last reset. */
export interface Values {
  readonly used: number
  readonly held: number
  readonly peakUsed: number
  readonly peakHeld: number
  readonly total: number
}

/** A value is as old as this at most. */
export const everyMillis = 100

/** What a driver said so long ago is not told any more. */
const oldMillis = 10_000

export class Gauge {
  readonly #device: Device
  #last: { readonly used: number; readonly held: number; readonly total: number } | undefined
  #peakUsed = 0
  #peakHeld = 0
  #at = -Infinity
  #reading = false

  constructor(device: Device) {
    this.#device = device
  }

  /** Whether it is time to read again; not while a reading is under way. A clock may be set back. */
  isDue(now: number): boolean {
    return !this.#reading && (now - this.#at >= everyMillis || now < this.#at)
  }

  async read(now: number): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    const memory = await this.#device.memory().catch(() => undefined)
    this.#reading = false
    this.#at = now
    this.#last = memory === undefined
      ? undefined
      : { used: memory.used, held: memory.used + memory.reserved, total: memory.total }
    this.#peakUsed = Math.max(this.#peakUsed, this.#last?.used ?? 0)
    this.#peakHeld = Math.max(this.#peakHeld, this.#last?.held ?? 0)
  }

  /** The last reading; undefined where the device does not answer (any more). */
  values(now: number, resetPeak: boolean): Values | undefined {
    const last = this.#last
    if (last === undefined || now - this.#at > oldMillis) return undefined
    const values = { ...last, peakUsed: this.#peakUsed, peakHeld: this.#peakHeld }
    if (resetPeak) {
      this.#peakUsed = last.used
      this.#peakHeld = last.held
    }
    return values
  }
}
