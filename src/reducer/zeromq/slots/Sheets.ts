/**
 * What ranks have said of each step: a slot for a step, in it a stack for each set of keys, in that a sheet for each record
 * of these keys. A sheet has a row of numbers for each rank, and parts: the moments of ranks that an aggregator has merged.
 *
 * - The n-th record of the same keys that a rank gives at a step is in the n-th sheet of these keys. Where records have keys
 *   in common but not all of them, or there are many sets of keys, the slot is mixed (Mixed.ts): sheets are cut, so that
 *   each key is in one stack. So the n-th value of a key is in its n-th sheet there, too, and nothing is searched for.
 * - A rank is in a sheet once: by a row, or in a part. A part of which a rank is there already is not taken.
 * - Where a step has no end of records the first sheets are let go of. What a rank says of those is dropped, and counts.
 *
 * @since 0.3.0
 */
import * as RankSet from "../RankSet.ts"
import { type Columns, meet, type Reading } from "./Columns.ts"
import type { Pool } from "./Pool.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How a rank is in a sheet. `told`: it was a row, and is only remembered. */
export const by = { nothing: 0, row: 1, part: 2, told: 3 } as const

/** What is known of one step. */
export interface Slot {
  readonly domain: 0 | 1
  readonly step: number
  readonly stacks: Array<Stack>
  mixed: Mixed | undefined
  /** What its user has still to do with it, and what it has done and remembers. */
  open: number
  closed: number
}

/** What a mixed slot knows: the stack of each key, and of records without numbers; and the stacks of sets of keys. */
export interface Mixed {
  readonly of: Map<string | undefined, Stack>
  readonly blocks: Map<Columns, ReadonlyArray<Block>>
}

/** Some columns of a record, together in a stack: which those are. */
export interface Block {
  readonly stack: Stack
  readonly at: Int32Array
}

/** The records of the same keys at a step. */
export interface Stack {
  readonly columns: Columns
  readonly sheets: Array<Sheet | undefined>
  /** Sheets before this one are let go of. */
  first: number
  /** Where to look for the next sheet of each rank, once there are many. */
  next: Uint32Array | undefined
}

/** One record of each rank. */
export interface Sheet {
  readonly slot: Slot
  readonly columns: Columns
  /** The how manieth of its columns. */
  readonly n: number
  /** How many columns those are. */
  readonly width: number
  /** For each rank, see {@link by}. */
  has: Uint8Array
  /** How many ranks are in it. */
  given: number
  /** Row by rank, from rank `base` on, as many as have come. */
  readonly base: number
  values: Float64Array
  readonly parts: Array<Part>
  /** What its parts take. */
  partBytes: number
  /** Its user has told of it: what comes now is late. */
  isTold: boolean
  /** What it was cut into, if the slot is mixed: it has no numbers itself then. Undefined: let go of. */
  pieces: ReadonlyArray<Sheet | undefined> | undefined
  /** The sheet of which it was such a piece. */
  cutFrom: Sheet | undefined
}

/** Ranks that were merged on their way. */
export interface Part {
  readonly source: number
  readonly ranks: RankSet.RankSet
  readonly moments: Float64Array
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const makeSlot = (domain: 0 | 1, step: number): Slot => ({
  domain,
  step,
  stacks: [],
  mixed: undefined,
  open: 0,
  closed: 0
})

/** A record whose columns are in sheets of their own. */
export const whole = (slot: Slot, columns: Columns, pieces: ReadonlyArray<Sheet | undefined>): Sheet => ({
  slot,
  columns,
  n: 0,
  width: columns.keys.length,
  has: nobody,
  given: 0,
  base: 0,
  values: none,
  parts: [],
  partBytes: 0,
  isTold: false,
  pieces,
  cutFrom: undefined
})
const none = new Float64Array(0)
const nobody = new Uint8Array(0)

// -----------------------------------------------------------------------------
// Finding
// -----------------------------------------------------------------------------

/** The next sheet of a stack that a rank is not in, to put it there; made if need be; undefined where that is let go of. */
export const nextSheet = (pool: Pool, slot: Slot, stack: Stack, rank: number): Sheet | undefined => {
  let n = stack.next === undefined ? stack.first : stack.next[rank]!
  if (n < stack.first) {
    stack.next![rank] = n + 1
    return undefined
  }
  n = firstWithout(stack.sheets, rank, n)
  // It is put there.
  if (stack.next !== undefined) stack.next[rank] = n + 1
  else if (n > manySheets) stack.next = nextOf(stack, pool.worldSize)
  return stack.sheets[n] ?? addSheet(pool, slot, stack, n)
}

/** The n-th sheet of a stack, made if need be; undefined where that is let go of, or beyond all that could be. */
export const sheetAt = (pool: Pool, slot: Slot, stack: Stack, n: number): Sheet | undefined =>
  n < stack.first || n > stack.sheets.length + mostMissing
    ? undefined
    : stack.sheets[n] ?? addSheet(pool, slot, stack, n)

/** Lets go of the sheets of a stack, up to the n-th. */
export const letGo = (pool: Pool, stack: Stack, n: number): void => {
  stack.next ??= nextOf(stack, pool.worldSize)
  for (; stack.first <= n; stack.first++) {
    const sheet = stack.sheets[stack.first]
    if (sheet !== undefined) pool.free(sheet)
    stack.sheets[stack.first] = undefined
  }
}

/** The stack of some columns; undefined where the slot is mixed (from now on), see Mixed.ts. */
export const stackOf = (slot: Slot, columns: Columns): Stack | undefined => {
  const { stacks } = slot
  if (slot.mixed !== undefined) return undefined
  for (let i = 0; i < stacks.length; i++) if (stacks[i]!.columns === columns) return stacks[i]!
  if (stacks.length < manyStacks && !stacks.some((other) => meet(other.columns, columns))) {
    return addStack(slot, columns)
  }
  const of = new Map<string | undefined, Stack>()
  for (const stack of stacks) for (const key of keysOf(stack.columns)) of.set(key, stack)
  slot.mixed = { of, blocks: new Map() }
  return undefined
}

/** The stack that a sheet is in. */
export const stackOfSheet = ({ columns, slot }: Sheet): Stack | undefined =>
  slot.mixed === undefined ? stackOf(slot, columns) : slot.mixed.of.get(columns.keys[0])

/** Whether a rank has said anything of some columns in a slot. */
export const isIn = (slot: Slot, columns: Columns, rank: number): boolean => {
  const { mixed, stacks } = slot
  const some = mixed === undefined
    ? stacks.filter((stack) => stack.columns === columns)
    : new Set(keysOf(columns).flatMap((key) => mixed.of.get(key) ?? []))
  return [...some].some(({ sheets }) => sheets.some((sheet) => sheet?.has[rank]))
}

/** Whether a rank is in all of a sheet, or of what it was cut into. */
export const isInAll = ({ has, pieces }: Sheet, rank: number): boolean =>
  pieces === undefined
    ? has[rank] !== by.nothing
    : pieces.every((piece) => piece === undefined || isInAll(piece, rank))

/** A sheet, or what it was cut into. */
export const piecesOf = (sheet: Sheet): ReadonlyArray<Sheet> =>
  sheet.pieces === undefined ? [sheet] : sheet.pieces.flatMap((piece) => piece === undefined ? [] : piecesOf(piece))

/** Keys, or what stands for none. */
export const keysOf = ({ keys }: Columns): ReadonlyArray<string | undefined> => keys.length === 0 ? noKeys : keys

const noKeys: ReadonlyArray<string | undefined> = [undefined]

/** More sets of keys than this are not searched through. */
const manyStacks = 16
/** So many sheets may be missing before one: what was lost on the way. */
const mostMissing = 65_536

export const addStack = (slot: Slot, columns: Columns): Stack => {
  const stack: Stack = { columns, sheets: [], first: 0, next: undefined }
  slot.stacks.push(stack)
  return stack
}

export const addSheet = (pool: Pool, slot: Slot, stack: Stack, n: number): Sheet =>
  stack.sheets[n] = pool.make(slot, stack.columns, n)

/** The first sheet from `n` on that a rank is not in. */
const firstWithout = (sheets: ReadonlyArray<Sheet | undefined>, rank: number, n: number): number => {
  for (; n < sheets.length; n++) {
    const sheet = sheets[n]
    if (sheet === undefined || sheet.has[rank] === by.nothing) return n
  }
  return n
}

/** From so many sheets on it is kept where each rank is. */
const manySheets = 8

const nextOf = ({ first, sheets }: Stack, worldSize: number): Uint32Array => {
  const next = new Uint32Array(worldSize)
  for (let rank = 0; rank < worldSize; rank++) {
    next[rank] = firstWithout(sheets, rank, first)
  }
  return next
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/** Puts a rank's numbers, which begin at `at`, in a sheet that it is not in: of these columns of it, or all. */
export const putRow = (
  pool: Pool,
  sheet: Sheet,
  rank: number,
  from: Reading["from"],
  numbers: Float64Array,
  at: number,
  of?: Int32Array
): void => {
  const { width } = sheet
  const to = (rank - sheet.base) * width
  if (sheet.values.length < to + width) grow(pool, sheet, rank - sheet.base + 1)
  const { values } = sheet
  if (of !== undefined) { for (let k = 0; k < width; k++) values[to + k] = numbers[at + (from?.[of[k]!] ?? of[k]!)]! }
  else if (from === undefined) { for (let k = 0; k < width; k++) values[to + k] = numbers[at + k]! }
  else for (let k = 0; k < width; k++) values[to + k] = numbers[at + from[k]!]!
  sheet.has[rank] = by.row
  sheet.given++
}

/** Puts what an aggregator says in a sheet that has none of its ranks. */
export const putPart = (pool: Pool, sheet: Sheet, part: Part): void => {
  RankSet.each(part.ranks, (rank) => {
    sheet.has[rank] = by.part
  })
  sheet.given += RankSet.size(part.ranks)
  addPart(pool, sheet, part)
}

/** Whether none of these ranks is in a sheet. */
export const isFree = ({ has }: Sheet, ranks: RankSet.RankSet): boolean => {
  for (let i = 0; i < ranks.length; i += 2) {
    for (let rank = ranks[i]!, last = ranks[i + 1]!; rank <= last; rank++) if (has[rank] !== by.nothing) return false
  }
  return true
}

export const addPart = (pool: Pool, sheet: Sheet, part: Part): void => {
  const { parts } = sheet
  const first = RankSet.first(part.ranks)
  let i = parts.length
  while (i > 0 && RankSet.first(parts[i - 1]!.ranks) > first) i--
  parts.splice(i, 0, part)
  count(pool, sheet, bytesOfPart(part))
}

const partBytes = 256

const bytesOfPart = ({ moments }: Part): number => partBytes + moments.byteLength

const count = (pool: Pool, sheet: Sheet, bytes: number): void => {
  sheet.partBytes += bytes
  pool.bytes += bytes
}

/** Forgets what a rank has said itself in a slot. */
export const withdrawRow = (slot: Slot, rank: number): void => {
  for (const stack of slot.stacks) {
    for (const sheet of stack.sheets) {
      if (sheet?.has[rank] !== by.row) continue
      sheet.has[rank] = by.nothing
      sheet.given--
    }
    if (stack.next !== undefined) stack.next = nextOf(stack, stack.next.length)
  }
}

/** Forgets what a source has merged in a slot. */
export const withdrawParts = (pool: Pool, slot: Slot, source: number): void => {
  for (const stack of slot.stacks) {
    for (const sheet of stack.sheets) {
      if (sheet === undefined) continue
      const kept = sheet.parts.filter((part) => part.source !== source)
      if (kept.length === sheet.parts.length) continue
      for (const part of sheet.parts) {
        if (part.source !== source) continue
        count(pool, sheet, -bytesOfPart(part))
        RankSet.each(part.ranks, (rank) => {
          sheet.has[rank] = by.nothing
        })
        sheet.given -= RankSet.size(part.ranks)
      }
      sheet.parts.splice(0, sheet.parts.length, ...kept)
    }
    if (stack.next !== undefined) stack.next = nextOf(stack, stack.next.length)
  }
}

export const grow = (pool: Pool, sheet: Sheet, rows: number): void => {
  const { values, width } = sheet
  if (width === 0) return
  const twice = 2 * Math.floor(values.length / Math.max(1, width))
  sheet.values = new Float64Array(Math.min(sheet.has.length, Math.max(rows, twice)) * width)
  sheet.values.set(values)
  pool.bytes += 8 * (sheet.values.length - values.length)
}
