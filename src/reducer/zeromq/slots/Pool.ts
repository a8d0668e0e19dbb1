/**
 * The memory of sheets: used again once they are no more needed, and counted.
 *
 * @since 0.3.0
 */
import type { Columns } from "./Columns.ts"
import type { Sheet, Slot } from "./Sheets.ts"

export class Pool {
  readonly worldSize: number
  /** The lowest rank that has rows. */
  readonly base: number
  /** What the sheets in use take. */
  bytes = 0
  readonly #has: Array<Uint8Array> = []
  #values = new WeakMap<Columns, Array<Float64Array>>()
  /** How many numbers have room in those. */
  #freeNumbers = 0

  constructor(worldSize: number, base: number) {
    this.worldSize = worldSize
    this.base = base
  }

  make(slot: Slot, columns: Columns, n: number): Sheet {
    const has = this.#has.pop() ?? new Uint8Array(this.worldSize)
    const free = this.#values.get(columns)?.pop()
    this.#freeNumbers -= free?.length ?? 0
    const values = free ?? new Float64Array(Math.min(this.worldSize, rowsAtFirst) * columns.keys.length)
    const sheet: Sheet = {
      slot,
      columns,
      n,
      width: columns.keys.length,
      has,
      given: 0,
      base: this.base,
      values,
      parts: [],
      partBytes: 0,
      isTold: false,
      pieces: undefined,
      cutFrom: undefined
    }
    this.bytes += bytesOf(sheet)
    return sheet
  }

  free(sheet: Sheet): void {
    const { has } = sheet
    if (has.length === 0) return
    this.strip(sheet)
    this.bytes -= bytesOf(sheet)
    // Whoever still holds it must not see who is in another.
    sheet.has = nobody
    if (this.#has.length === mostFree || this.#has.length * has.length > mostFreeBytes) return
    has.fill(0)
    this.#has.push(has)
  }

  /** Takes the numbers out of a sheet of which only who is in it is needed. */
  strip(sheet: Sheet): void {
    const { columns, values } = sheet
    this.bytes -= sheet.partBytes
    sheet.partBytes = 0
    sheet.parts.length = 0
    if (values.length === 0) return
    this.bytes -= 8 * values.length
    sheet.values = none
    if (this.#freeNumbers + values.length > mostFreeNumbers) {
      // Of columns that are no more in use, perhaps.
      this.#values = new WeakMap()
      this.#freeNumbers = 0
      if (values.length > mostFreeNumbers) return
    }
    let list = this.#values.get(columns)
    if (list === undefined) this.#values.set(columns, list = [])
    if (list.length === mostFree) return
    list.push(values)
    this.#freeNumbers += values.length
  }

  /** Frees what is in a slot. */
  clear(slot: Slot): void {
    for (const { sheets } of slot.stacks) for (const sheet of sheets) if (sheet !== undefined) this.free(sheet)
    slot.stacks.length = 0
    slot.mixed?.of.clear()
    slot.mixed?.blocks.clear()
  }
}

/** What a sheet takes, about. */
const bytesOf = ({ has, partBytes, values }: Sheet): number => sheetBytes + has.length + 8 * values.length + partBytes

const sheetBytes = 256

/** Where there are many ranks, most come in parts. */
const rowsAtFirst = 64

const mostFree = 4096
const mostFreeNumbers = 8 * 1024 * 1024
const mostFreeBytes = 16 * 1024 * 1024

const none = new Float64Array(0)
const nobody = new Uint8Array(0)
