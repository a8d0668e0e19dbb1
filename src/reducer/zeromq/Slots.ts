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
 * - Mostly all ranks are at the same record: that is told from what they sent, as it came (Together.ts). Where they differ,
 *   what they say of its step is put together in a slot (Sheets.ts).
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
import { Awaited } from "./slots/Awaited.ts"
import { place, Row as Numbers, type Shape } from "./slots/Columns.ts"
import { Described, Slab } from "./slots/Described.ts"
import { Intake } from "./slots/Intake.ts"
import { type Mergeable, Merger } from "./slots/Merger.ts"
import type { Options, Slots } from "./slots/Model.ts"
import { Queue } from "./slots/Queue.ts"
import { progress } from "./slots/Ranks.ts"
import * as Sheets from "./slots/Sheets.ts"
import { type OfRoot, Together } from "./slots/Together.ts"

export type { Counts, Options, Slots } from "./slots/Model.ts"

/** A record of the root that waits for the ranks. */
interface Recorded extends OfRoot {
  readonly row: Row
  readonly domain: 0 | 1
  /** Its own, until they are in a sheet. */
  numbers: Float64Array
  /** See {@link Awaited}. */
  readonly rises: boolean
  readonly since: number
  readonly wentBack: number
  /** The greatest step that the root had come to. */
  readonly furthest: number
  /** Ranks below have been found done. */
  next: number
}

/** One whose statistics are put together in a slot. */
interface Seated {
  readonly of: Recorded
  readonly slot: Sheets.Slot
  /** Where it is itself; undefined where it has no number. */
  readonly sheet: Sheets.Sheet | undefined
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
  const pending = new Queue<Recorded>()
  /** The first of those, once it has a slot. */
  let seated: Seated | undefined
  const closed = new Queue<Seated>()
  /** Sheets of closed records to which something has come. */
  const late = new Set<Sheets.Sheet>()
  let allJoinedAt: number | undefined
  let partial = 0
  let amended = 0
  /** The records without a step of this process. */
  let counted = 0
  /** The greatest step that this process has recorded in each domain. */
  const reached: [number, number] = [-Infinity, -Infinity]
  const awaited = [new Awaited(), new Awaited()] as const
  /** The greatest step of the records that have closed. */
  let passed = -Infinity
  const merger = new Merger(worldSize)
  const own = new Numbers()
  /** For what is remembered, and for what is not: that would keep large pieces for the sake of few. */
  const slab = new Slab()
  const passing = new Slab()
  let counts = new Float64Array(0)
  let moments = new Float64Array(0)
  let someMoments = new Float64Array(0)

  const isAwaited = ({ domain, step }: Sheets.Slot): boolean => awaited[domain].has(step)
  const isSettled = (slot: Sheets.Slot): boolean =>
    slot.open === 0 && root.latest[slot.domain] >= slot.step && !isAwaited(slot)
  const intake = new Intake({
    worldSize,
    came: (sheet) => {
      if (sheet.isTold) late.add(sheet)
    },
    cameTo: (sheets) => {
      for (const sheet of sheets) if (sheet.isTold) late.add(sheet)
    },
    isSettled,
    isAwaited,
    isRoot: true
  })
  const together = new Together(intake)
  const { ranks } = intake
  const root = ranks[0]!

  // Complete -------------------------------------------------------------------

  /** Whether a rank that is not at a record will not come to it. */
  const hasMovedOn = ({ domain, furthest, step, wentBack }: Recorded, index: number): boolean => {
    const rank = ranks[index]!
    if (!rank.live) return rank.joined || allJoinedAt !== undefined
    const latest = rank.latest[domain]
    return latest > step && (rank.wentBack >= wentBack || latest > furthest)
  }

  const isDone = ({ of, sheet }: Seated, index: number): boolean =>
    sheet === undefined || Sheets.isInAll(sheet, index) || hasMovedOn(of, index)

  /** When everybody was there, or those who were not were no longer waited for. */
  const settleJoining = (now: number): void => {
    if (allJoinedAt === undefined && (intake.joined === worldSize || now >= joinUntil)) allJoinedAt = now
  }

  const deadlineOf = (record: Recorded, index: number): number => {
    const since = Math.max(record.since, allJoinedAt ?? Infinity)
    const rank = ranks[index]!
    // Jobs do not start up equally fast.
    if (!rank.begun) return Math.max(since + deadlineMillis, (allJoinedAt ?? Infinity) + startMillis)
    const progressAt = rank.progressAt[record.domain]
    return Math.min(Math.max(since, progressAt) + deadlineMillis, since + Math.max(deadlineMillis, patienceMillis))
  }

  /** Whether a record has all it will get; `next` is where it waits. */
  const isComplete = (record: Seated, now: number): boolean => {
    const { of, sheet } = record
    if (sheet?.pieces === undefined && sheet?.given === worldSize) return true
    for (; of.next < worldSize; of.next++) {
      if (!isDone(record, of.next) && now < deadlineOf(of, of.next)) return false
    }
    return true
  }

  /** Whether the first record is one that every rank is at, or will be. If not, it needs a slot. */
  const isTogether = (record: Recorded, now: number): "yes" | "not yet" | "no" => {
    const { domain, shape, step } = record
    if (domain === 1 || shape.keys.length === 0 || step < passed || intake.knows(0, step)) return "no"
    for (record.next = Math.max(1, record.next); record.next < worldSize; record.next++) {
      const index = record.next
      if (together.isAt(record, index)) continue
      intake.unpack(index, step)
      if (together.isAt(record, index)) continue
      const isAwaited = intake.lanes.isEmpty(index) && !hasMovedOn(record, index) && now < deadlineOf(record, index)
      return isAwaited ? "not yet" : "no"
    }
    return "yes"
  }

  /** Gives a record a slot, with all that ranks have said of it. */
  const seat = (of: Recorded): Seated => {
    const { at, domain, numbers, shape, step } = of
    const slot = intake.slot(domain, step)
    const sheet = shape.keys.length === 0 ? undefined : intake.put(0, slot, shape, numbers, at)
    slot.open++
    of.numbers = none
    of.next = 0
    if (domain === 0) { for (const index of intake.lanes.ranks) intake.unpack(index, step, true) }
    return { of, slot, sheet, told: undefined, isPartial: false }
  }

  /** Puts in slots what ranks have said of steps that were passed, and of that of the first record where it has a slot. */
  const takeLate = (): void => {
    const first = pending.first()
    if (first === undefined) { for (const index of intake.lanes.ranks) intake.unpack(index, passed, true) }
    else {
      const step = first.domain === 0 ? Math.max(passed, first.step) : passed
      // What is at the step of a record that has no slot may be told together with it.
      const isOpen = seated === undefined && first.domain === 0 && first.step >= passed
      for (const index of intake.lanes.arrived) intake.unpack(index, step, !isOpen)
    }
    intake.lanes.arrived.clear()
  }

  // Statistics -----------------------------------------------------------------

  const statisticsOf = ({ of: { shape }, sheet, slot }: Seated): Described | undefined => {
    if (sheet === undefined) return undefined
    const { columns, keys } = shape
    const places = shape.inOrder ? undefined : shape.places
    const from = slab.take(keys.length * descriptionSize)
    const { numbers } = slab
    const counts = countsFor(shape)
    let count = sheet.given
    let isEven = false
    if (sheet.pieces === undefined) isEven = merger.describe(sheet, count, numbers, from, counts, places)
    else {
      const pieces = Sheets.piecesOf(sheet)
      count = countOf(pieces)
      if (moments.length < keys.length * momentFields) moments = new Float64Array(2 * keys.length * momentFields)
      // What was let go of says nothing.
      merger.merge({ ...nothing, width: keys.length }, moments)
      for (const piece of pieces) {
        if (someMoments.length < piece.width * momentFields) someMoments = new Float64Array(moments.length)
        merger.merge(piece, someMoments)
        place(someMoments, piece.columns, moments, columns)
      }
      isEven = describeMoments(moments, keys.length, count, numbers, from, counts, places)
    }
    const expected = Math.max(expectedAt(slot), count)
    return new Described(shape.keys, numbers, from, isEven ? undefined : counts.slice(), count, expected)
  }

  /** Where it is written how many values each key has. */
  const countsFor = ({ keys }: Shape): Float64Array =>
    counts.length === 2 * keys.length ? counts : counts = new Float64Array(2 * keys.length)

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

  /** One that every rank is at; undefined where one is not after all. */
  const publishTogether = (record: Recorded): Row | undefined => {
    const { row, shape, step } = record
    if (!together.take(record)) return undefined
    passed = step
    const from = passing.take(shape.keys.length * descriptionSize)
    const { numbers } = passing
    const counts = countsFor(shape)
    const isEven = together.describe(shape, numbers, from, counts)
    const said = isEven ? undefined : counts.slice()
    // With whatever it came with: a history's rows have more than others.
    return { ...row, statistics: new Described(shape.keys, numbers, from, said, worldSize, worldSize) }
  }

  const publish = (record: Seated): Row => {
    const { of: { domain, row, step }, slot } = record
    if (domain === 0) passed = Math.max(passed, step)
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

  const tell = (record: Seated, statistics: Described | undefined): void => {
    if (record.isPartial) partial--
    record.told = statistics
    record.isPartial = statistics !== undefined && statistics.count < statistics.expected &&
      !isRootsOwn(record, statistics)
    if (record.isPartial) partial++
  }

  /** What rank 0 alone records, as an evaluation, lacks nobody. */
  const isRootsOwn = (record: Seated, { count }: Described): boolean =>
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

  /** Whether something has come to a sheet, or to one that it was cut from. */
  const isLate = (sheet: Sheets.Sheet): boolean =>
    late.has(sheet) || (sheet.cutFrom !== undefined && isLate(sheet.cutFrom))

  /** Tells records again to whose sheets something has come. */
  const amend = (): Array<Row> => {
    const again: Array<Row> = []
    if (late.size === 0) return again
    for (const record of closed) {
      if (record.told === undefined || !sheetsOf(record).some(isLate)) continue
      const statistics = statisticsOf(record)
      if (statistics === undefined || statistics.same(record.told)) continue
      tell(record, statistics)
      again.push({ ...record.of.row, statistics })
    }
    late.clear()
    amended += again.length
    return again
  }

  const close: Slots["close"] = (now) => {
    settleJoining(now)
    takeLate()
    const rows = amend()
    for (let record = pending.first(); record !== undefined; record = pending.first()) {
      if (record.rises) awaited[record.domain].begin(record.step)
      if (seated === undefined) {
        const state = isTogether(record, now)
        const row = state === "yes" ? publishTogether(record) : undefined
        if (row !== undefined) {
          pending.shift()
          awaited[0].remove(record.step, record.rises)
          rows.push(row)
          continue
        }
        if (state === "not yet" && pending.size <= waiting) break
        seated = seat(record)
      }
      if (!isComplete(seated, now) && pending.size <= waiting) break
      pending.shift()
      awaited[record.domain].remove(record.step, record.rises)
      rows.push(publish(seated))
      seated = undefined
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
      const domain = record.step === undefined ? 1 : 0
      const step = record.step ?? counted++
      const shape = intake.catalog.read(record.metrics, own)
      const { at, values: numbers } = own
      own.at += shape.columns.keys.length
      progress(root, domain, step, now)
      const { wentBack } = root
      const rises = awaited[domain].add(step)
      const furthest = reached[domain] = Math.max(reached[domain], step)
      pending.push({ row: record, domain, step, shape, numbers, at, rises, since: now, wentBack, furthest, next: 0 })
    },
    close,
    flush: () => close(Infinity),
    acks: () => {
      if (pending.size === 0) { for (let index = 1; index < worldSize; index++) intake.unpack(index, passed, true) }
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
const sheetsOf = ({ sheet }: Seated): ReadonlyArray<Sheets.Sheet> => sheet === undefined ? [] : Sheets.piecesOf(sheet)

const none = new Float64Array(0)

/** Columns that were let go of. */
const nothing: Mergeable = {
  has: new Uint8Array(0),
  width: 1,
  base: 0,
  values: new Float64Array(0),
  parts: []
}
