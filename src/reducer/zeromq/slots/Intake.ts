/**
 * What arrives, from whom: the part of a reduction that the root and the aggregators share.
 *
 * - A sender is a rank, or an aggregator that speaks for several; it numbers its frames. One that comes again, or too early,
 *   is not taken.
 * - A rank is heard through one sender at a time (`via`). When that changes, or an aggregator begins anew, what was said
 *   through the one before of slots that are not settled is forgotten: it is not acknowledged, so it comes again. What comes
 *   again of slots that are settled is dropped where the rank is in them.
 * - A root lets frames wait as they came until it comes to their steps (Lane.ts).
 * - A frame is acknowledged when all slots it was about are settled. What that means, its user says. A root may never come
 *   to some: it acknowledges the oldest frame of a sender where more is open than that has to keep (`isRoot`).
 *
 * @since 0.3.0
 */
import type { Acknowledgement } from "../Below.ts"
import type { Aggregate, Leaf } from "../Frame.ts"
import { momentFields } from "../Frame.ts"
import * as RankSet from "../RankSet.ts"
import { Window } from "../Schema.ts"
import { Catalog, type Columns, placed, type Reading, type Told } from "./Columns.ts"
import { Lanes } from "./Lanes.ts"
import * as Mixed from "./Mixed.ts"
import { type Most as MostOpen, mostOfAggregator, mostOfRank, Open } from "./Open.ts"
import { Pool } from "./Pool.ts"
import { progress, type Rank, unheard } from "./Ranks.ts"
import * as Sheets from "./Sheets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  readonly worldSize: number
  /** No rank below this one comes by itself. */
  readonly base?: number
  /** A rank, or several, have come to a sheet. */
  readonly came: (sheet: Sheets.Sheet) => void
  /** The same of the sheets of one record. */
  readonly cameTo: (sheets: ReadonlyArray<Sheets.Sheet>) => void
  /** A root's: records wait in lanes, and what a sender has said is acknowledged sooner or later, settled or not. */
  readonly isRoot?: boolean
  /** Whether nothing more is to be done about a slot than to take what comes late. */
  readonly isSettled: (slot: Sheets.Slot) => boolean
  /** Whether it will be needed, though nobody has it open. */
  readonly isAwaited?: (slot: Sheets.Slot) => boolean
}

interface Sender {
  incarnation: number
  seq: number
  readonly schemas: Window<Told>
  /** Frames that are not acknowledged: what they are about. */
  readonly open: Open
}

/** Steps that are left behind are forgotten beyond so many, those that are still to come beyond more. */
const mostSlots = 8192
const mostAhead = 65_536
/** Both sooner, where they take more than this. */
const mostBytes = 512 * 1024 * 1024

// -----------------------------------------------------------------------------
// Intake
// -----------------------------------------------------------------------------

export class Intake {
  readonly ranks: ReadonlyArray<Rank>
  readonly catalog = new Catalog()
  readonly pool: Pool
  readonly lanes: Lanes
  joined = 0
  live = 0
  lost = 0
  /** What was dropped: parts of which some ranks had come another way, and what makes no sense. */
  dropped = 0
  /** Steps that senders came to so long before this process that they could not be kept. */
  overflowed = 0
  /** Whose records are taken just now; undefined where they are several ranks'. */
  speaking: Rank | undefined
  readonly #options: Options
  readonly #senders = new Map<number, Sender>()
  readonly #slots: readonly [Map<number, Sheets.Slot>, Map<number, Sheets.Slot>] = [new Map(), new Map()]
  readonly #acknowledged = new Map<number, number>()
  /** From so many on it is looked which slots can be forgotten. */
  readonly #look = { slots: mostSlots, bytes: mostBytes }

  constructor(options: Options) {
    this.#options = options
    this.pool = new Pool(options.worldSize, options.base ?? 0)
    this.ranks = Array.from({ length: options.worldSize }, (_, index) => unheard(index))
    this.lanes = new Lanes(options.worldSize, this.pool)
  }

  /** The number of the sender that is the aggregator of which this is the first rank; a rank's own is the rank. */
  aggregatorOf(rank: number): number {
    return this.#options.worldSize + rank
  }

  // Who is there ---------------------------------------------------------------

  /** A rank is there. Gives the last frame that was taken of it, where it is its own sender: 0 of a new one. */
  join(index: number, incarnation: number, now: number, via: number = index): number {
    const rank = this.ranks[index]
    if (rank === undefined) return 0
    this.enter(rank, now)
    if (rank.incarnation !== incarnation) {
      rank.incarnation = incarnation
      rank.latest.fill(-Infinity)
      rank.again.fill(-Infinity)
      this.lanes.of[index]?.forget()
    } else if (rank.via !== via) this.#repeat(rank.via, index)
    rank.via = via
    return via === index ? this.#open(index, incarnation) : 0
  }

  /** The life of a sender. */
  incarnationOf(sender: number): number | undefined {
    return this.#senders.get(sender)?.incarnation
  }

  /** An aggregator is there. Gives the last frame that was taken of it. */
  joinAggregator(sender: number, incarnation: number): number {
    const known = this.#senders.get(sender)
    if (known !== undefined && known.incarnation !== incarnation) this.#repeat(sender)
    return this.#open(sender, incarnation)
  }

  /** A rank of this process. */
  enter(rank: Rank, now: number): void {
    if (!rank.joined) this.joined++
    if (!rank.live) this.live++
    rank.joined = true
    rank.live = true
    rank.progressAt.fill(now)
  }

  leave(index: number): void {
    const rank = this.ranks[index]
    if (rank === undefined || !rank.live) return
    rank.live = false
    this.live--
  }

  alive(index: number, now: number): void {
    const rank = this.ranks[index]
    if (rank !== undefined && !rank.live && rank.joined) this.enter(rank, now)
  }

  // What they say --------------------------------------------------------------

  schema(sender: number, id: number, keys: ReadonlyArray<string>, bytes: number): void {
    this.#senders.get(sender)?.schemas.set(id, this.catalog.told(keys), bytes)
  }

  /** False: one before it is missing, or its schema was never told. It is to be sent again. */
  leaf(index: number, seq: number, schema: number, records: Leaf, now: number): boolean {
    const sender = this.#senders.get(index)
    const rank = this.ranks[index]
    if (sender === undefined || rank === undefined || index < this.pool.base || isHad(sender, seq)) return true
    const told = sender.schemas.get(schema)
    if (told === undefined || seq > sender.seq + 1) return false
    sender.seq = Math.max(sender.seq, seq)
    this.speaking = rank
    const width = told.keys.length
    const isWhole = records.keys === width
    if (!isWhole) this.dropped++
    const frame = sender.open.push(seq, records.count, records.values.byteLength)
    if (isWhole && this.#canWait(index, records)) {
      const { count, steps, values } = records
      this.lanes.push(index, { frame, reading: told.whole, count, steps, values, width })
      progress(rank, 0, steps[count - 1]!, now)
      return true
    }
    this.unpack(index, Infinity)
    const { slots } = frame
    for (let i = 0, n = isWhole ? records.count : 0; i < n; i++) {
      const slot = this.slot(records.domains[i] === 1 ? 1 : 0, records.steps[i]!)
      if (slots.at(-1) !== slot) slots.push(slot)
      const reading = records.dense ? told.whole : this.#reading(told, records, i)
      this.put(index, slot, reading, records.values, i * width)
      progress(rank, slot.domain, slot.step, now)
    }
    return true
  }

  /** The same of an aggregator. */
  aggregate(source: number, seq: number, schema: number, entries: Aggregate, now: number): boolean {
    const sender = this.#senders.get(source)
    if (sender === undefined || isHad(sender, seq)) return true
    const told = sender.schemas.get(schema)
    if (told === undefined || seq > sender.seq + 1) return false
    sender.seq = Math.max(sender.seq, seq)
    this.speaking = undefined
    const { slots } = sender.open.push(seq, entries.count, entries.moments.byteLength)
    const width = told.keys.length * momentFields
    for (let i = 0; i < entries.count; i++) {
      const slot = this.slot(entries.domains[i] === 1 ? 1 : 0, entries.steps[i]!)
      if (slots.at(-1) !== slot) slots.push(slot)
      const ranks = entries.ranks[entries.sets[i]!]!
      // Those that were told from lanes are in no sheet.
      const occurrence = entries.occurrences[i]! - this.#takenAt(slot, ranks)
      if (entries.keys !== told.keys.length || !this.#makesSense(entries, i, ranks) || occurrence < 0) {
        this.dropped++
        continue
      }
      const { columns, from } = entries.dense ? told.whole : this.#reading(told, entries, i)
      const given = entries.moments.subarray(i * width, (i + 1) * width)
      const moments = from === undefined ? given.slice() : placed(given, from)
      const sheets = Mixed.putPart(this.pool, slot, columns, occurrence, { source, ranks, moments })
      if (sheets === undefined) this.dropped++
      else this.#options.cameTo(sheets)
      RankSet.each(ranks, (index) => {
        const rank = this.ranks[index]
        if (rank !== undefined) progress(rank, slot.domain, slot.step, now)
      })
    }
    return true
  }

  /** Frames up to this number will not come (again): what is missing of them is lost. */
  floor(source: number, seq: number): void {
    const sender = this.#senders.get(source)
    if (sender === undefined) return
    // Its sender does not have them any more.
    sender.open.gone(seq)
    if (seq <= sender.seq) return
    // Before the first frame it may be what a root before this one had no need of any more.
    if (sender.seq > 0) this.lost += seq - sender.seq
    sender.seq = seq
  }

  /** Puts a rank's numbers where they belong. */
  put(
    index: number,
    slot: Sheets.Slot,
    { columns, from }: Reading,
    numbers: Float64Array,
    at: number
  ): Sheets.Sheet | undefined {
    const rank = this.ranks[index]!
    if (rank.again[slot.domain] > -Infinity) {
      if (slot.step > rank.again[slot.domain]) rank.again[slot.domain] = -Infinity
      else if (this.#options.isSettled(slot) && this.#isSaid(index, slot, columns)) return undefined
    }
    const stack = Sheets.stackOf(slot, columns)
    if (stack === undefined) {
      const pieces = Mixed.putRow(this.pool, slot, index, columns, from, numbers, at)
      this.#options.cameTo(pieces.filter((sheet) => sheet !== undefined))
      return Sheets.whole(slot, columns, pieces)
    }
    const sheet = Sheets.nextSheet(this.pool, slot, stack, index)
    if (sheet === undefined) return undefined
    Sheets.putRow(this.pool, sheet, index, from, numbers, at)
    this.#options.came(sheet)
    return sheet
  }

  // Lanes ----------------------------------------------------------------------

  /** Puts what a rank has said of steps below this one in slots; of this one, too, where it is `included`. */
  unpack(index: number, step: number, included = false): void {
    const lane = this.lanes.of[index]
    if (lane === undefined) return
    while (included ? lane.step <= step : lane.step < step) {
      const slot = this.slot(0, lane.step)
      const { slots } = lane.frame!
      if (slots.at(-1) !== slot) slots.push(slot)
      this.put(index, slot, lane.reading!, lane.values, lane.at)
      this.lanes.next(lane)
    }
  }

  /** Whether records may wait in the lane of their rank: in their order, and there are not too many. */
  #canWait(index: number, { count, dense, domains, steps, values }: Leaf): boolean {
    const rank = this.ranks[index]!
    if (this.#options.isRoot !== true || index === 0 || rank.again[0] > -Infinity || !dense || count === 0) return false
    const { last = -Infinity, records = 0 } = this.lanes.of[index] ?? {}
    if (this.#slots[0].size + records + count > mostAhead || this.pool.bytes + values.byteLength > mostBytes) {
      return false
    }
    let before = Math.max(rank.latest[0], last)
    for (let i = 0; i < count; i++) {
      const step = steps[i]!
      if (domains[i] === 1 || step < before) return false
      before = step
    }
    return true
  }

  // Acknowledgements -----------------------------------------------------------

  /** Looks which frames are settled by now. */
  settle(): void {
    const { isSettled } = this.#options
    for (const [source, sender] of this.#senders) {
      const seq = sender.open.settle(isSettled)
      if (seq > 0) this.#acknowledged.set(source, seq)
    }
  }

  /** The frames that need not be kept any more, since it was asked last. */
  acks(): ReadonlyArray<Acknowledgement> {
    if (this.#acknowledged.size === 0) return none
    const all = Array.from(this.#acknowledged, ([sender, seq]) => ({ sender, seq }))
    this.#acknowledged.clear()
    return all
  }

  // Slots ----------------------------------------------------------------------

  /** Whether anything is known of a step but what waits in lanes. */
  knows(domain: 0 | 1, step: number): boolean {
    const slots = this.#slots[domain]
    return slots.size > 0 && slots.has(step)
  }

  slot(domain: 0 | 1, step: number): Sheets.Slot {
    const slots = this.#slots[domain]
    const known = slots.get(step)
    if (known !== undefined) return known
    const slot = Sheets.makeSlot(domain, step)
    slots.set(step, slot)
    if (slots.size > this.#look.slots || this.pool.bytes > this.#look.bytes) this.#forgetOld(slots)
    return slot
  }

  forget(slot: Sheets.Slot): void {
    this.#slots[slot.domain].delete(slot.step)
    this.pool.clear(slot)
  }

  /**
   * What is left behind goes first; what a rank says that is far ahead is kept longer. Looked through only once in a while:
   * there may be a great many that are in use.
   */
  #forgetOld(slots: Map<number, Sheets.Slot>): void {
    const isFull = (): boolean => slots.size > mostAhead || this.pool.bytes > mostBytes
    for (const slot of slots.values()) {
      if (slots.size <= mostSlots / 2 && this.pool.bytes <= mostBytes / 2) break
      if (slot.open > 0 || slot.closed > 0 || this.#options.isAwaited?.(slot) === true) continue
      const isSettled = this.#options.isSettled(slot)
      if (!isSettled && !isFull()) continue
      if (!isSettled) this.overflowed++
      this.forget(slot)
    }
    this.#look.slots = Math.max(mostSlots, 1.25 * slots.size)
    this.#look.bytes = Math.max(mostBytes, 1.25 * this.pool.bytes)
  }

  // Internal -------------------------------------------------------------------

  #mostOpen(source: number): MostOpen | undefined {
    if (this.#options.isRoot !== true) return undefined
    const { worldSize } = this.#options
    return source < worldSize ? mostOfRank : mostOfAggregator(worldSize)
  }

  /** Each rank has one value of each key, and the root speaks for itself. */
  #makesSense({ keys, moments, present }: Aggregate, entry: number, ranks: RankSet.RankSet): boolean {
    if (RankSet.first(ranks) === 0) return false
    const size = RankSet.size(ranks)
    for (let k = 0; k < keys; k++) {
      const at = (entry * keys + k) * momentFields
      if (present(entry, k) && moments[at]! + moments[at + 1]! !== size) return false
    }
    return true
  }

  /** Presence is by record. */
  #reading(told: Told, of: Pick<Leaf, "present">, i: number): Reading {
    return this.catalog.part(told, (key) => of.present(i, key))
  }

  /** Whether a rank is in a slot that is settled, or was when that was closed. */
  #isSaid(index: number, slot: Sheets.Slot, columns: Columns): boolean {
    return Sheets.isIn(slot, columns, index) ||
      (slot.domain === 0 && this.lanes.of[index]?.wasNextTaken(slot.step) === true)
  }

  /** How many records of a slot were told from the lanes of ranks, which say again what was not acknowledged. */
  #takenAt({ domain, step }: Sheets.Slot, ranks: RankSet.RankSet): number {
    let taken = 0
    if (domain === 1) return taken
    RankSet.each(ranks, (index) => {
      const rank = this.ranks[index]
      if (rank === undefined || rank.again[0] === -Infinity) return
      if (step > rank.again[0]) rank.again[0] = -Infinity
      else taken = Math.max(taken, this.lanes.of[index]?.takenAt(step) ?? 0)
    })
    return taken
  }

  #open(source: number, incarnation: number): number {
    const known = this.#senders.get(source)
    if (known?.incarnation === incarnation) return known.seq
    this.#senders.set(source, { incarnation, seq: 0, schemas: new Window(), open: new Open(this.#mostOpen(source)) })
    return 0
  }

  /** What was said through a sender comes again: of all ranks, if it is an aggregator. */
  #repeat(source: number, index?: number): void {
    const isRank = source < this.#options.worldSize
    if (isRank) {
      this.unpack(source, Infinity)
      this.lanes.of[source]?.repeat()
    }
    for (const slots of this.#slots) {
      for (const slot of slots.values()) {
        if (this.#options.isSettled(slot)) continue
        if (!isRank) Sheets.withdrawParts(this.pool, slot, source)
        else if (index !== undefined) Sheets.withdrawRow(slot, index)
      }
    }
    this.#senders.delete(source)
    for (const [i, rank] of this.ranks.entries()) {
      if (rank.via !== source && i !== index) continue
      rank.again[0] = Math.max(rank.again[0], rank.latest[0])
      rank.again[1] = Math.max(rank.again[1], rank.latest[1])
      rank.latest.fill(-Infinity)
    }
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const none: ReadonlyArray<never> = []

/** It was sent again, since we did not say that we had it. */
const isHad = (sender: Sender, seq: number): boolean => seq !== 0 && seq <= sender.seq
