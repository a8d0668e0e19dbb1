/**
 * The root's side of a reduction: which of its records are complete, and what all ranks said of them.
 *
 * - Values are aligned by (step, key, occurrence): the n-th value that a rank gives for a key at a step belongs to the
 *   n-th that the root gives. So a rank that logs more records than others (evaluation on rank 0) shifts nothing, and a
 *   step may be told in several records. Records without a step are numbered by each rank, in a domain of their own.
 * - A record of the root closes when each live rank has given all of its numeric keys, or has moved on: its latest step
 *   is greater. Where the root itself went back to an earlier step, a rank has moved on only if it went back as often, or
 *   is beyond all steps that the root has come to: then the root alone goes back.
 * - A rank that does neither is waited for until the deadline, which counts from the record, from the rank's last record
 *   in that domain, and from when all ranks had joined (or were no longer waited for): whoever is latest. One that goes on
 *   but never comes to the record is waited for with patience, not for ever; so is one that has said nothing since all
 *   have joined. A dead rank is not waited for.
 * - Records are published in the order in which the root recorded them. Statistics are made in rank order when a record
 *   closes, so the order in which values arrived makes no difference to a single bit.
 * - A value that comes later amends: the record is told again, as long as it is remembered.
 * - A frame may be forgotten by its sender when all it was about is closed: only then is it acknowledged. Or when more is
 *   open than senders keep: the root may never come to where they were.
 *
 * Time is an argument, there are no timers here.
 *
 * @since 0.3.0
 */
import { describeMoments, descriptionSize } from "../../internal/columns.ts"
import type { Row } from "../../Row.ts"
import { momentFields } from "./Frame.ts"
import { place, Row as Numbers, type Shape } from "./slots/Columns.ts"
import { Described, type Names, namesOf, Slab } from "./slots/Described.ts"
import { Intake, progress } from "./slots/Intake.ts"
import { type Mergeable, Merger } from "./slots/Merger.ts"
import type { Options, Slots } from "./slots/Model.ts"
import { Queue } from "./slots/Queue.ts"
import * as Sheets from "./slots/Sheets.ts"

export type { Counts, Options, Slots } from "./slots/Model.ts"

/** A record of the root. */
interface Pending {
  readonly row: Row
  readonly slot: Sheets.Slot
  /** Where it is itself; undefined where it has no number. */
  readonly sheet: Sheets.Sheet | undefined
  readonly shape: Shape
  readonly since: number
  readonly wentBack: number
  /** The greatest step that the root had come to. */
  readonly furthest: number
  /** Ranks below have been found done. */
  next: number
  /** What was told of it, and whether that was without some ranks. */
  told: Described | undefined
  isPartial: boolean
}

const defaultRemembered = 1024
/** Fewer, where what ranks say of them is more than this. */
const rememberedBytes = 128 * 1024 * 1024
const leastRemembered = 16
const defaultWaiting = 65_536

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const make = (options: Options): Slots => {
  const { deadlineMillis, joinUntil, remembered = defaultRemembered, waiting = defaultWaiting, worldSize } = options
  const { patienceMillis = 30 * deadlineMillis, startMillis = deadlineMillis } = options
  const pending = new Queue<Pending>()
  const closed = new Queue<Pending>()
  /** Sheets of closed records to which something has come. */
  const late = new Set<Sheets.Sheet>()
  let allJoinedAt: number | undefined
  let partial = 0
  let amended = 0
  /** The records without a step of this process. */
  let counted = 0
  /** The greatest step of this process in each domain. */
  const reached: [number, number] = [-Infinity, -Infinity]
  const merger = new Merger(worldSize)
  const own = new Numbers()
  const names = new WeakMap<Shape, Names>()
  const slab = new Slab()

  const isSettled = (slot: Sheets.Slot): boolean => slot.open === 0 && root.latest[slot.domain] >= slot.step
  const intake = new Intake({
    worldSize,
    came: (sheet) => {
      if (sheet.isTold) late.add(sheet)
    },
    cameTo: (sheets) => {
      for (const sheet of sheets) if (sheet.isTold) late.add(sheet)
    },
    isSettled,
    lenient: true
  })
  const { ranks } = intake
  const root = ranks[0]!

  // Complete -------------------------------------------------------------------

  const hasAll = ({ sheet }: Pending, rank: number): boolean => sheet === undefined || Sheets.isInAll(sheet, rank)

  const isDone = (record: Pending, index: number): boolean => {
    const rank = ranks[index]!
    if (!rank.live) return rank.joined || allJoinedAt !== undefined
    if (hasAll(record, index)) return true
    const latest = rank.latest[record.slot.domain]
    return latest > record.slot.step && (rank.wentBack >= record.wentBack || latest > record.furthest)
  }

  /** When everybody was there, or those who were not were no longer waited for. */
  const settleJoining = (now: number): void => {
    if (allJoinedAt === undefined && (intake.joined === worldSize || now >= joinUntil)) allJoinedAt = now
  }

  const deadlineOf = (record: Pending, index: number): number => {
    const since = Math.max(record.since, allJoinedAt ?? Infinity)
    const rank = ranks[index]!
    // Jobs do not start up equally fast.
    if (!rank.begun) return Math.max(since + deadlineMillis, (allJoinedAt ?? Infinity) + startMillis)
    const progressAt = rank.progressAt[record.slot.domain]
    return Math.min(Math.max(since, progressAt) + deadlineMillis, since + Math.max(deadlineMillis, patienceMillis))
  }

  /** Whether a record has all it will get; `next` is where it waits. */
  const isComplete = (record: Pending, now: number): boolean => {
    if (record.sheet?.pieces === undefined && record.sheet?.given === worldSize) return true
    for (; record.next < worldSize; record.next++) {
      if (!isDone(record, record.next) && now < deadlineOf(record, record.next)) return false
    }
    return true
  }

  // Statistics -----------------------------------------------------------------

  const statisticsOf = ({ shape, sheet, slot }: Pending): Described | undefined => {
    if (sheet === undefined) return undefined
    const { columns, inOrder, keys, places } = shape
    const from = slab.take(keys.length * descriptionSize)
    const { numbers } = slab
    let named = names.get(shape)
    if (named === undefined) names.set(shape, named = namesOf(keys))
    let count = sheet.given
    if (sheet.pieces === undefined) merger.describe(sheet, numbers, from, inOrder ? undefined : places)
    else {
      const pieces = Sheets.piecesOf(sheet)
      count = countOf(pieces)
      const moments = new Float64Array(keys.length * momentFields)
      // What was let go of says nothing.
      merger.merge({ ...nothing, width: keys.length }, moments)
      for (const piece of pieces) {
        const some = new Float64Array(piece.width * momentFields)
        merger.merge(piece, some)
        place(some, piece.columns, moments, columns)
      }
      describeMoments(moments, keys.length, numbers, from, inOrder ? undefined : places)
    }
    return new Described(named, numbers, from, count, Math.max(expectedAt(slot), count))
  }

  /** How many ranks are there, or had come that far before they left. */
  const expectedAt = ({ domain, step }: Sheets.Slot): number => {
    if (intake.live === worldSize) return worldSize
    let expected = 0
    for (const { latest, live } of ranks) if (live || latest[domain] >= step) expected++
    return expected
  }

  /** How many ranks have given some of it. */
  const countOf = (pieces: ReadonlyArray<Sheets.Sheet>): number => {
    const most = pieces.reduce((most, { given }) => Math.max(most, given), 0)
    if (most === worldSize || pieces.length === 1) return most
    let count = 0
    for (let rank = 0; rank < worldSize; rank++) {
      if (pieces.some(({ has }) => has[rank] !== Sheets.by.nothing)) count++
    }
    return count
  }

  // Publishing -----------------------------------------------------------------

  const publish = (record: Pending): Row => {
    const { row, slot } = record
    const statistics = statisticsOf(record)
    tell(record, statistics)
    for (const sheet of sheetsOf(record)) sheet.isTold = true
    slot.open--
    slot.closed++
    closed.push(record)
    while (closed.size > remembered || (intake.pool.bytes > rememberedBytes && closed.size > leastRemembered)) {
      forgetClosed()
    }
    return statistics === undefined ? row : { ...row, statistics }
  }

  const tell = (record: Pending, statistics: Described | undefined): void => {
    if (record.isPartial) partial--
    record.told = statistics
    record.isPartial = statistics !== undefined && statistics.count < statistics.expected &&
      !isRootsOwn(record, statistics)
    if (record.isPartial) partial++
  }

  /** What rank 0 alone records, as an evaluation, lacks nobody. */
  const isRootsOwn = (record: Pending, { count }: Described): boolean =>
    count === 1 && ranks.every((_, index) => index === 0 || isDone(record, index))

  const forgetClosed = (): void => {
    const record = closed.shift()!
    const { slot } = record
    slot.closed--
    if (slot.closed === 0 && isSettled(slot)) intake.forget(slot)
    else {
      for (const sheet of sheetsOf(record)) {
        const stack = Sheets.stackOfSheet(sheet)
        if (stack !== undefined) Sheets.letGo(intake.pool, stack, sheet.n)
      }
    }
  }

  /** Tells records again to whose sheets something has come. */
  const amend = (): Array<Row> => {
    const again: Array<Row> = []
    if (late.size === 0) return again
    for (const record of closed) {
      if (record.told === undefined || !sheetsOf(record).some((sheet) => late.has(sheet))) continue
      const statistics = statisticsOf(record)
      if (statistics === undefined || statistics.same(record.told)) continue
      tell(record, statistics)
      again.push({ ...record.row, statistics })
    }
    late.clear()
    amended += again.length
    return again
  }

  const close: Slots["close"] = (now) => {
    settleJoining(now)
    const rows = amend()
    for (let record = pending.first(); record !== undefined; record = pending.first()) {
      if (!isComplete(record, now) && pending.size <= waiting) break
      pending.shift()
      rows.push(publish(record))
    }
    return rows
  }

  return {
    aggregatorOf: (rank) => intake.aggregatorOf(rank),
    join: (index, incarnation, now, via) => {
      const seq = intake.join(index, incarnation, now, via)
      settleJoining(now)
      return seq
    },
    joinAggregator: (sender, incarnation) => intake.joinAggregator(sender, incarnation),
    leave: (index) => intake.leave(index),
    alive: (index, now) => intake.alive(index, now),
    schema: (sender, id, keys, bytes) => intake.schema(sender, id, keys, bytes),
    leaf: (index, seq, schema, records, now) => intake.leaf(index, seq, schema, records, now),
    aggregate: (sender, seq, schema, entries, now) => intake.aggregate(sender, seq, schema, entries, now),
    floor: (sender, seq) => intake.floor(sender, seq),
    root: (record, now) => {
      if (!root.live) intake.enter(root, now)
      settleJoining(now)
      const slot = intake.slot(record.step === undefined ? 1 : 0, record.step ?? counted++)
      const shape = intake.catalog.read(record.metrics, own)
      const sheet = shape.keys.length === 0 ? undefined : intake.put(0, slot, shape, own.values, 0)
      progress(root, slot, now)
      slot.open++
      const since = now
      const furthest = reached[slot.domain] = Math.max(reached[slot.domain], slot.step)
      const { wentBack } = root
      pending.push({
        row: record,
        slot,
        sheet,
        shape,
        since,
        wentBack,
        furthest,
        next: 0,
        told: undefined,
        isPartial: false
      })
    },
    close,
    flush: () => close(Infinity),
    acks: () => {
      intake.settle()
      return intake.acks()
    },
    nextDeadline: (now) => {
      const record = pending.first()
      if (late.size > 0) return now
      if (record === undefined) return undefined
      if (allJoinedAt === undefined && intake.joined < worldSize) return joinUntil
      return deadlineOf(record, Math.min(record.next, worldSize - 1))
    },
    absent: () => ranks.flatMap(({ joined }, index) => joined ? [] : [index]),
    counts: () => ({
      joined: intake.joined,
      live: intake.live,
      waiting: pending.size,
      partial,
      amended,
      lost: intake.lost,
      dropped: intake.dropped,
      overflowed: intake.overflowed
    })
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Where a record is. */
const sheetsOf = ({ sheet }: Pending): ReadonlyArray<Sheets.Sheet> => sheet === undefined ? [] : Sheets.piecesOf(sheet)

/** Columns that were let go of. */
const nothing: Mergeable = {
  has: new Uint8Array(0),
  width: 1,
  base: 0,
  values: new Float64Array(0),
  parts: []
}
