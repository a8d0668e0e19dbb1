/**
 * The root's side of a reduction: which of its records are complete, and what all ranks said of them.
 *
 * - Values are aligned by (step, key, occurrence): the n-th value that a rank gives for a key at a step belongs to the
 *   n-th that the root gives. So a rank that logs more records than others (evaluation on rank 0) shifts nothing, and a
 *   step may be told in several records. Records without a step are numbered by each rank, in a domain of their own.
 * - A record of the root closes when each live rank has given all of its numeric keys, or has moved on: its latest step
 *   is greater. Where the root itself went back to an earlier step, a rank has moved on only if it went back as often.
 * - A rank that does neither is waited for until the deadline, which counts from the record, from the rank's last record
 *   in that domain, and from when all ranks had joined (or were no longer waited for): whoever is latest. One that goes on
 *   but never comes to the record is waited for with patience, not for ever; so is one that has said nothing since all
 *   have joined. A dead rank is not waited for.
 * - Records are published in the order in which the root recorded them. Statistics are made of the raw values in rank
 *   order when a record closes, so the order in which they arrived makes no difference to a single bit.
 * - A value that comes later amends: the record is told again, as long as it is remembered.
 * - A frame may be forgotten by its sender when all it was about is closed: only then is it acknowledged.
 *
 * Time is an argument, there are no timers here.
 *
 * @since 0.3.0
 */
import type { Value } from "../../Metrics.ts"
import * as Moments from "../../Moments.ts"
import type { Row, Statistics } from "../../Row.ts"
import { numberOf } from "./Schema.ts"
import {
  describe,
  type Occurrence,
  type Options,
  type Pending,
  type Rank,
  type Slot,
  type Slots,
  unknownRank
} from "./slots/Model.ts"

export type { Counts, Options, Slots } from "./slots/Model.ts"

const defaultRemembered = 1024
const defaultWaiting = 65_536
/** Steps that the root has left behind are forgotten beyond so many, those that it may still come to beyond more. */
const mostSlots = 8192
const mostAhead = 65_536

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const make = (options: Options): Slots => {
  const { deadlineMillis, joinUntil, remembered = defaultRemembered, waiting = defaultWaiting, worldSize } = options
  const { patienceMillis = 30 * deadlineMillis, startMillis = deadlineMillis } = options
  const ranks = Array.from({ length: worldSize }, unknownRank)
  const names = new Map<string, number>()
  const domains: readonly [Map<number, Slot>, Map<number, Slot>] = [new Map(), new Map()]
  const pending: Array<Pending> = []
  let firstPending = 0
  let closed: Array<Pending> = []
  const late = new Set<Pending>()
  const recordOf = new Map<Occurrence, Pending>()
  const acknowledged = new Map<number, number>()
  let joined = 0
  let live = 0
  let allJoinedAt: number | undefined
  let partial = 0
  let amended = 0
  let lost = 0
  /** Whether a frame has come since acknowledgements were looked at. */
  let cameIn = false
  const accumulator = new Moments.Accumulator()

  const idOf = (key: string): number => {
    const known = names.get(key)
    if (known !== undefined) return known
    names.set(key, names.size)
    return names.size - 1
  }

  const slotOf = (domain: number, step: number): Slot => {
    const slots = domains[domain === 1 ? 1 : 0]
    const known = slots.get(step)
    if (known !== undefined) return known
    const slot: Slot = { domain, step, keys: new Map(), open: 0 }
    slots.set(step, slot)
    if (slots.size > mostSlots) forgetOldest(slots)
    return slot
  }

  /** What the root has left behind goes first; a rank that is far ahead of it keeps what it has said. */
  const forgetOldest = (slots: Map<number, Slot>): void => {
    for (const [step, slot] of slots) {
      if (slot.open > 0) continue
      if (slots.size <= mostAhead && !isSettled(slot)) return
      slots.delete(step)
      forget(slot)
      return
    }
  }

  const forget = (slot: Slot): void => {
    for (const occurrences of slot.keys.values()) for (const one of occurrences) recordOf.delete(one)
    slot.keys.clear()
  }

  /** The n-th value of a key of a slot, made if need be. */
  const occurrence = (slot: Slot, key: number, n: number): Occurrence => {
    let all = slot.keys.get(key)
    if (all === undefined) slot.keys.set(key, all = [])
    while (all.length <= n) {
      all.push({ has: new Uint8Array(worldSize), values: new Float64Array(worldSize), late: false })
    }
    return all[n]!
  }

  /** The first of a key's values at a step that a rank has not given yet. */
  const nextOccurrence = (slot: Slot, key: number, rank: number): Occurrence => {
    const all = slot.keys.get(key) ?? []
    let n = 0
    while (all[n]?.has[rank] === 1) n++
    return occurrence(slot, key, n)
  }

  const put = (slot: Slot, key: number, rank: number, value: number): void => {
    const one = nextOccurrence(slot, key, rank)
    one.has[rank] = 1
    one.values[rank] = value
    const record = recordOf.get(one)
    if (record !== undefined && record.next < 0) {
      one.late = true
      late.add(record)
    }
  }

  const progress = (rank: Rank, domain: number, step: number, now: number): void => {
    const d = domain === 1 ? 1 : 0
    if (step < rank.latest[d]) rank.wentBack++
    rank.latest[d] = step
    rank.progressAt[d] = now
  }

  const hasAll = (record: Pending, rank: number): boolean => {
    for (const one of record.occurrences) if (one.has[rank] === 0) return false
    return true
  }

  const isDone = (record: Pending, index: number): boolean => {
    const rank = ranks[index]!
    if (!rank.live) return rank.joined || joinedAt() !== undefined
    if (hasAll(record, index)) return true
    return rank.latest[record.slot.domain === 1 ? 1 : 0] > record.slot.step && rank.wentBack >= record.wentBack
  }

  /** When everybody was there, or those who were not were no longer waited for. */
  const joinedAt = (): number | undefined => allJoinedAt
  const settleJoining = (now: number): void => {
    if (allJoinedAt === undefined && (joined === worldSize || now >= joinUntil)) allJoinedAt = now
  }

  const deadlineOf = (record: Pending, index: number): number => {
    const since = Math.max(record.since, allJoinedAt ?? Infinity)
    const rank = ranks[index]!
    // Jobs do not start up equally fast.
    if (!rank.begun) return Math.max(since + deadlineMillis, (allJoinedAt ?? Infinity) + startMillis)
    const progressAt = rank.progressAt[record.slot.domain === 1 ? 1 : 0]
    return Math.min(Math.max(since, progressAt) + deadlineMillis, since + Math.max(deadlineMillis, patienceMillis))
  }

  /** Whether a record has all it will get; `next` is where it waits. */
  const isComplete = (record: Pending, now: number): boolean => {
    for (; record.next < worldSize; record.next++) {
      if (!isDone(record, record.next) && now < deadlineOf(record, record.next)) return false
    }
    return true
  }

  const statisticsOf = (record: Pending): Statistics => {
    const values: Record<string, Value> = {}
    let count = 0
    const given = new Uint8Array(worldSize)
    for (const [i, one] of record.occurrences.entries()) {
      accumulator.reset()
      for (let rank = 0; rank < worldSize; rank++) {
        if (one.has[rank] === 0) continue
        given[rank] = 1
        accumulator.add(one.values[rank]!, rank)
      }
      describe(values, record.keys[i]!, accumulator.result())
      one.late = false
    }
    for (const one of given) count += one
    return { values, count, expected: Math.max(live, count) }
  }

  const publish = (record: Pending): Row => {
    const statistics = statisticsOf(record)
    if (statistics.count < statistics.expected && record.occurrences.length > 0) partial++
    record.slot.open--
    // From now on whatever comes for it is late.
    record.next = -1
    closed.push(record)
    if (closed.length > 2 * remembered) forgetClosed()
    return record.occurrences.length === 0 ? record.row : { ...record.row, statistics }
  }

  const forgetClosed = (): void => {
    const old = closed.slice(0, -remembered)
    closed = closed.slice(-remembered)
    const kept = new Set(closed.map((record) => record.slot))
    for (const { slot } of old) {
      if (slot.open > 0 || kept.has(slot)) continue
      domains[slot.domain === 1 ? 1 : 0].delete(slot.step)
      forget(slot)
    }
  }

  const head = (): Pending | undefined => pending[firstPending]

  const shift = (): void => {
    firstPending++
    if (firstPending < 1024 || firstPending * 2 < pending.length) return
    pending.splice(0, firstPending)
    firstPending = 0
  }

  const amend = (): Array<Row> => {
    if (late.size === 0) return []
    const again = [...late].sort((a, b) => a.row.seq - b.row.seq)
    late.clear()
    amended += again.length
    return again.map((record) => ({ ...record.row, statistics: statisticsOf(record) }))
  }

  /** Frames about steps that the root has closed, or will not come to, are acknowledged. */
  const acknowledge = (): void => {
    for (const [index, rank] of ranks.entries()) {
      let seq = 0
      while (rank.frames.length > 0 && rank.frames[0]!.slots.every(isSettled)) seq = rank.frames.shift()!.seq
      if (seq > 0) acknowledged.set(index, seq)
    }
  }

  const isSettled = (slot: Slot): boolean => slot.open === 0 && ranks[0]!.latest[slot.domain === 1 ? 1 : 0] >= slot.step

  const close: Slots["close"] = (now) => {
    settleJoining(now)
    const rows = amend()
    for (let record = head(); record !== undefined; record = head()) {
      if (!isComplete(record, now) && pending.length - firstPending <= waiting) break
      rows.push(publish(record))
      shift()
    }
    if (rows.length > 0 || cameIn) acknowledge()
    cameIn = false
    return rows
  }

  return {
    join: (index, incarnation, now) => {
      const rank = ranks[index]
      if (rank === undefined) return 0
      if (!rank.joined) joined++
      if (!rank.live) live++
      if (rank.incarnation !== incarnation) {
        rank.incarnation = incarnation
        rank.seq = 0
        rank.counted = 0
        rank.latest.fill(-Infinity)
        rank.schemas.clear()
        rank.frames.length = 0
      }
      rank.joined = true
      rank.live = true
      rank.progressAt.fill(now)
      settleJoining(now)
      return rank.seq
    },
    leave: (index) => {
      const rank = ranks[index]
      if (rank === undefined || !rank.live) return
      rank.live = false
      live--
    },
    alive: (index, now) => {
      const rank = ranks[index]
      if (rank !== undefined && !rank.live && rank.joined) {
        rank.live = true
        rank.progressAt.fill(now)
        live++
      }
    },
    schema: (index, id, keys, bytes) => {
      ranks[index]?.schemas.set(id, Int32Array.from(keys, idOf), bytes)
    },
    leaf: (index, seq, schema, records, now) => {
      const rank = ranks[index]
      if (rank === undefined) return true
      // Sent again, since we did not say that we had it.
      if (seq !== 0 && seq <= rank.seq) return true
      const keys = rank.schemas.get(schema)
      if (keys === undefined || seq > rank.seq + 1) return false
      rank.seq = Math.max(rank.seq, seq)
      rank.begun = true
      const slots = new Set<Slot>()
      for (let i = 0; i < records.count; i++) {
        const domain = records.domains[i]!
        const slot = slotOf(domain, records.steps[i]!)
        slots.add(slot)
        for (let k = 0; k < keys.length; k++) {
          if (records.present(i, k)) put(slot, keys[k]!, index, records.values[i * keys.length + k]!)
        }
        progress(rank, domain, slot.step, now)
      }
      if (seq !== 0) rank.frames.push({ seq, slots: [...slots] })
      cameIn = true
      return true
    },
    floor: (index, seq) => {
      const rank = ranks[index]
      if (rank === undefined || seq <= rank.seq) return
      // Before the first frame it may be what a root before this one had no need of any more.
      if (rank.seq > 0) lost += seq - rank.seq
      rank.seq = seq
    },
    root: (row, now) => {
      const rank = ranks[0]!
      if (!rank.joined) joined++
      if (!rank.live) live++
      rank.joined = true
      rank.live = true
      settleJoining(now)
      const domain = row.step === undefined ? 1 : 0
      const slot = slotOf(domain, row.step ?? rank.counted++)
      const keys: Array<string> = []
      const occurrences: Array<Occurrence> = []
      for (const key of Object.keys(row.metrics)) {
        const value = numberOf(row.metrics[key])
        if (value === undefined) continue
        const one = nextOccurrence(slot, idOf(key), 0)
        one.has[0] = 1
        one.values[0] = value
        keys.push(key)
        occurrences.push(one)
      }
      progress(rank, domain, slot.step, now)
      slot.open++
      const record: Pending = { row, slot, keys, occurrences, since: now, wentBack: rank.wentBack, next: 0 }
      for (const one of occurrences) recordOf.set(one, record)
      pending.push(record)
    },
    close,
    flush: () => close(Infinity),
    acks: () => {
      const all = Array.from(acknowledged, ([rank, seq]) => ({ rank, seq }))
      acknowledged.clear()
      return all
    },
    nextDeadline: (now) => {
      const record = head()
      if (late.size > 0) return now
      if (record === undefined) return undefined
      if (allJoinedAt === undefined && joined < worldSize) return joinUntil
      const next = Math.min(Math.max(0, record.next), worldSize - 1)
      return deadlineOf(record, next)
    },
    counts: () => ({ joined, live, waiting: pending.length - firstPending, partial, amended, lost })
  }
}
