/**
 * An aggregator's side of a reduction: it takes what several ranks say, and says it above as if it were one.
 *
 * - A sheet (one record of each rank, see slots/Sheets.ts) is told when all live ranks below are in it or have moved on, or
 *   at the deadline with what there is: sheets in the order in which they were touched first. What comes later is told
 *   next, by itself, with the new ranks alone.
 * - What is told is kept until it is acknowledged from above; only then is what it is made of acknowledged below. So an
 *   aggregator has nothing that is not somewhere else, too: should it die, what is below says it again to another.
 * - For the same reason it can begin anew at any time, and has to where it cannot know what it has told already: when a rank
 *   below changes its way, or an aggregator below has begun anew. `join` says so.
 *
 * Time is an argument, there are no timers and no sockets here.
 *
 * @since 0.3.0
 */
import type { Below } from "./Below.ts"
import * as Frame from "./Frame.ts"
import * as RankSet from "./RankSet.ts"
import * as Ring from "./Ring.ts"
import { type Schema, schemaBytes } from "./Schema.ts"
import type { Columns } from "./slots/Columns.ts"
import { alike, momentsOf } from "./slots/Groups.ts"
import { Intake } from "./slots/Intake.ts"
import { Merger } from "./slots/Merger.ts"
import { Queue } from "./slots/Queue.ts"
import * as Sheets from "./slots/Sheets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `expected`: so many ranks will be below, and are waited for until `joinUntil`. `deadlineMillis`: how long a sheet waits for
 * a rank. `ringBytes`: what is kept for those above. `base`: the lowest rank that comes by itself, its own unless said: with
 * a lower one it has to begin anew.
 *
 * @category models
 * @since 0.3.0
 */
export interface Options extends Frame.Origin {
  readonly expected: number
  readonly joinUntil: number
  readonly deadlineMillis?: number
  readonly ringBytes?: number
  readonly base?: number
}

/**
 * @category models
 * @since 0.3.0
 */
export interface Aggregator extends Below {
  /**
   * Makes frames of what is complete by now: of all at the `"end"`. What came late waits for the next `"tick"`, and all
   * behind it.
   */
  readonly tell: (now: number, when?: "tick" | "end") => void
  /** Sends them, and what is to be sent again, as long as `send` can. True: all is sent. */
  readonly drain: (now: number, send: (frame: Uint8Array) => boolean) => boolean
  /** Those above have no need of frames up to this number any more. */
  readonly acked: (seq: number) => void
  /** Those above have taken frames up to this number, and are to get all others (again). */
  readonly rewind: (after: number) => void
  /** Whether something that a rank has said is not told. */
  readonly holds: (rank: number) => boolean
  /** Half of what can be kept is. */
  readonly isFull: () => boolean
  readonly stats: () => Stats
}

/**
 * @category models
 * @since 0.3.0
 */
export interface Stats extends Ring.RingStats {
  readonly joined: number
  readonly live: number
  /** Sheets that are not told. */
  readonly waiting: number
  /** What sheets take. */
  readonly heldBytes: number
  readonly lost: number
}

/** What is known of a sheet, or of those that a record was cut into, beside what is in them. */
interface Held {
  readonly slot: Sheets.Slot
  readonly sheets: ReadonlyArray<Sheets.Sheet>
  readonly since: number
  /** How often the rank that came first had gone back. */
  readonly wentBack: number
  /** It waits to be told (again). */
  waits: boolean
  /** The frames it is in that are not acknowledged. */
  unacknowledged: number
}

/** What is told at once. */
interface Entry {
  readonly held: Held
  readonly columns: Columns
  readonly occurrence: number
  readonly ranks: RankSet.RankSet
  readonly moments: Float64Array
}

const defaultDeadlineMillis = 500
const defaultRingBytes = 256 * 1024 * 1024
/** What is remembered of a sheet that was told, beside a byte for each rank, about. */
const sheetBytes = 400
/** A frame has so many entries at most, and is about so large. */
const most = { entries: 64, bytes: 4 * 1024 * 1024 } as const
/** So many steps that are done with are remembered, and so many sheets of one step. */
const remembered = 256

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * @category constructors
 * @since 0.3.0
 */
export const make = (options: Options): Aggregator => new Impl(options)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

class Impl implements Aggregator {
  readonly #options: Options
  readonly #deadlineMillis: number
  readonly #ringBytes: number
  readonly #intake: Intake
  readonly #ring: Ring.Ring
  readonly #merger: Merger
  readonly #schemas = new WeakMap<Columns, Schema>()
  #lastSchema = 0
  #lastSeq = 0
  /** The ranks that have come. */
  readonly #below: Array<number> = []
  readonly #held = new WeakMap<Sheets.Sheet, Held>()
  readonly #waiting = new Queue<Held>()
  #late: Array<Held> = []
  /** What each frame that is not acknowledged is about. */
  readonly #told = new Queue<{ readonly seq: number; readonly held: ReadonlyArray<Held> }>()
  /** Slots that are done with. */
  readonly #done = new Queue<Sheets.Slot>()
  #now = 0

  constructor(options: Options) {
    const { deadlineMillis = defaultDeadlineMillis, incarnation, job, rank, ringBytes = defaultRingBytes } = options
    const { worldSize } = options
    this.#options = options
    this.#deadlineMillis = deadlineMillis
    this.#ringBytes = ringBytes
    this.#ring = Ring.make({ job, rank, incarnation, worldSize }, ringBytes, worldSize + sheetBytes)
    this.#merger = new Merger(worldSize)
    this.#intake = new Intake({
      worldSize,
      base: options.base ?? rank,
      came: (sheet) => this.#came([sheet]),
      cameTo: (sheets) => this.#came(sheets),
      isSettled
    })
  }

  readonly aggregatorOf = (rank: number): number => this.#intake.aggregatorOf(rank)

  readonly join: Aggregator["join"] = (index, incarnation, now, via = index) => {
    const rank = this.#intake.ranks[index]
    if (via === index && index < this.#intake.pool.base) return undefined
    if (rank?.joined === true && rank.incarnation === incarnation && rank.via !== via) return undefined
    if (rank?.joined === false) this.#below.push(index)
    return this.#intake.join(index, incarnation, now, via)
  }

  readonly joinAggregator: Aggregator["joinAggregator"] = (sender, incarnation) => {
    const known = this.#intake.incarnationOf(sender)
    return known === undefined || known === incarnation ? this.#intake.joinAggregator(sender, incarnation) : undefined
  }

  readonly leave = (rank: number): void => this.#intake.leave(rank)

  readonly alive = (rank: number, now: number): void => this.#intake.alive(rank, now)

  readonly schema: Aggregator["schema"] = (sender, id, keys, bytes) => this.#intake.schema(sender, id, keys, bytes)

  readonly leaf: Aggregator["leaf"] = (rank, seq, schema, records, now) => {
    this.#now = now
    return this.#intake.leaf(rank, seq, schema, records, now)
  }

  readonly aggregate: Aggregator["aggregate"] = (sender, seq, schema, entries, now) => {
    this.#now = now
    return this.#intake.aggregate(sender, seq, schema, entries, now)
  }

  readonly floor: Aggregator["floor"] = (sender, seq) => this.#intake.floor(sender, seq)

  // Telling --------------------------------------------------------------------

  readonly tell: Aggregator["tell"] = (now, when) => {
    // An entry for each that is late would be more than all others: they are gathered, and nothing overtakes them.
    if (this.#late.length > 0 && when === undefined) return
    const entries: Array<Entry> = []
    // What came late belongs before what its ranks have said since.
    for (const held of this.#late) this.#entriesOf(held, entries)
    this.#late = []
    for (let held = this.#waiting.first(); held !== undefined; held = this.#waiting.first()) {
      if (when !== "end" && !this.#isReady(held, now)) break
      this.#waiting.shift()
      this.#entriesOf(held, entries)
    }
    this.#push(entries, now)
  }

  readonly drain: Aggregator["drain"] = (now, send) => this.#ring.drain(now, send)

  readonly rewind: Aggregator["rewind"] = (after) => this.#ring.rewind(after)

  readonly isFull = (): boolean => this.#ring.stats().keptBytes > this.#ringBytes / 2

  readonly holds: Aggregator["holds"] = (rank) => {
    const isIn = (held: Held): boolean =>
      sheetsOf(held).some(({ has }) => has[rank] === Sheets.by.row || has[rank] === Sheets.by.part)
    for (const held of this.#waiting) if (isIn(held)) return true
    return this.#late.some(isIn)
  }

  readonly acked: Aggregator["acked"] = (seq) => {
    this.#ring.acked(seq)
    this.#release(seq)
  }

  /** Frames up to this number are acknowledged, or were pushed out. */
  #release(seq: number): void {
    let any = false
    for (let told = this.#told.first(); told !== undefined && told.seq <= seq; told = this.#told.first()) {
      this.#told.shift()
      any = true
      for (const held of told.held) {
        held.unacknowledged--
        this.#settle(held)
      }
    }
    if (any) this.#intake.settle()
  }

  readonly acks: Aggregator["acks"] = () => this.#intake.acks()

  readonly stats: Aggregator["stats"] = () => ({
    ...this.#ring.stats(),
    joined: this.#intake.joined,
    live: this.#intake.live,
    waiting: this.#waiting.size + this.#late.length,
    heldBytes: this.#intake.pool.bytes,
    lost: this.#intake.lost + this.#intake.dropped
  })

  // Internal -------------------------------------------------------------------

  #came(sheets: ReadonlyArray<Sheets.Sheet>): void {
    const fresh: Array<Sheets.Sheet> = []
    for (const sheet of sheets) {
      const held = this.#heldOf(sheet)
      if (held === undefined) fresh.push(sheet)
      else if (!held.waits) {
        if (held.unacknowledged === 0) held.slot.open++
        held.waits = true
        this.#late.push(held)
      }
    }
    if (fresh.length === 0) return
    const { slot } = fresh[0]!
    const wentBack = this.#intake.speaking?.wentBack ?? 0
    const held: Held = { slot, sheets: fresh, since: this.#now, wentBack, waits: true, unacknowledged: 0 }
    for (const sheet of fresh) this.#held.set(sheet, held)
    this.#waiting.push(held)
    slot.open++
  }

  /** A piece of a sheet that was cut is held with all others of it. */
  #heldOf(sheet: Sheets.Sheet): Held | undefined {
    for (let from: Sheets.Sheet | undefined = sheet; from !== undefined; from = from.cutFrom) {
      const held = this.#held.get(from)
      if (held !== undefined) return held
    }
    return undefined
  }

  #isReady(held: Held, now: number): boolean {
    const { since, slot: { domain, step }, wentBack } = held
    if (now >= since + this.#deadlineMillis && now >= this.#options.joinUntil) return true
    if (this.#intake.joined < this.#options.expected && now < this.#options.joinUntil) return false
    const sheets = sheetsOf(held)
    for (const index of this.#below) {
      if (sheets.every(({ has }) => has[index] !== Sheets.by.nothing)) continue
      const rank = this.#intake.ranks[index]!
      if (!rank.live || (rank.latest[domain] > step && rank.wentBack >= wentBack)) continue
      if (now < since + this.#deadlineMillis) return false
    }
    return true
  }

  /** What there is of a sheet that has not been told. */
  #entriesOf(held: Held, entries: Array<Entry>): void {
    const before = entries.length
    held.waits = false
    for (const { n, ranks, sheets } of alike(sheetsOf(held), this.#below)) {
      const keys = sheets.flatMap(({ columns }) => columns.keys)
      const columns = sheets.length === 1 ? sheets[0]!.columns : this.#intake.catalog.columnsOf(keys)
      const moments = momentsOf(this.#merger, sheets, columns)
      entries.push({ held, columns, occurrence: n, ranks, moments })
      for (const sheet of sheets) {
        for (const rank of this.#below) if (sheet.has[rank] === Sheets.by.row) sheet.has[rank] = Sheets.by.told
        this.#intake.pool.strip(sheet)
      }
    }
    if (entries.length === before) this.#settle(held)
  }

  #push(entries: ReadonlyArray<Entry>, now: number): void {
    for (let from = 0; from < entries.length;) {
      const { columns } = entries[from]!
      let to = from
      let bytes = 0
      while (to < entries.length && to - from < most.entries && entries[to]!.columns === columns) {
        bytes += Frame.entryBytes(columns.keys.length, entries[to]!.ranks)
        if (to > from && bytes > most.bytes) break
        to++
      }
      this.#frame(columns, entries.slice(from, to), now)
      from = to
    }
  }

  #frame(columns: Columns, entries: ReadonlyArray<Entry>, now: number): void {
    const width = columns.keys.length * Frame.momentFields
    const count = entries.length
    const ranks: Array<RankSet.RankSet> = []
    const sets = new Uint32Array(count)
    const moments = new Float64Array(count * width)
    for (const [i, entry] of entries.entries()) {
      let set = ranks.findIndex((one) => RankSet.equals(one, entry.ranks))
      if (set < 0) set = ranks.push(entry.ranks) - 1
      sets[i] = set
      moments.set(entry.moments, i * width)
      entry.held.unacknowledged++
    }
    const schema = this.#schemaOf(columns)
    this.#ring.push(schema, count, now, (stamp) =>
      Frame.encodeAggregate(stamp, schema.id, {
        count,
        keys: columns.keys.length,
        steps: Float64Array.from(entries, ({ held }) => held.slot.step),
        domains: Uint8Array.from(entries, ({ held }) => held.slot.domain),
        occurrences: Uint32Array.from(entries, ({ occurrence }) => occurrence),
        sets,
        ranks,
        moments
      }))
    this.#told.push({ seq: ++this.#lastSeq, held: entries.map(({ held }) => held) })
    const { frames, kept } = this.#ring.stats()
    if (this.#told.size > kept) this.#release(frames - kept)
  }

  #schemaOf(columns: Columns): Schema {
    let schema = this.#schemas.get(columns)
    if (schema === undefined) {
      schema = { id: ++this.#lastSchema, keys: columns.keys, bytes: schemaBytes(columns.keys) }
      this.#schemas.set(columns, schema)
    }
    return schema
  }

  /** All that was told of it is acknowledged, perhaps. */
  #settle(held: Held): void {
    const { slot, unacknowledged, waits } = held
    if (unacknowledged > 0 || waits) return
    slot.open--
    for (const sheet of sheetsOf(held)) {
      const stack = sheet.n < remembered ? undefined : Sheets.stackOfSheet(sheet)
      if (stack !== undefined) Sheets.letGo(this.#intake.pool, stack, sheet.n - remembered)
    }
    if (slot.open > 0) return
    slot.closed++
    this.#done.push(slot)
    if (this.#done.size <= remembered) return
    const oldest = this.#done.shift()!
    oldest.closed--
    if (oldest.open === 0 && oldest.closed === 0) this.#intake.forget(oldest)
  }
}

/** Where a record is (by now). */
const sheetsOf = ({ sheets }: Held): ReadonlyArray<Sheets.Sheet> =>
  sheets.some(({ pieces }) => pieces !== undefined) ? sheets.flatMap(Sheets.piecesOf) : sheets

const isSettled = (slot: Sheets.Slot): boolean => slot.open === 0
