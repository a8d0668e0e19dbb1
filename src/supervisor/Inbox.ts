/**
 * The records that wait in memory for a backend; what there is no room for is left to the log.
 *
 * Records up to the gap's end come from the log, before those in memory: of a run that goes on, or whose server was
 * away, and those there was no room for.
 *
 * @since 0.2.0
 */
import type { Row } from "../Row.ts"

/** Beyond so many records in memory, a backend reads on from the log. */
const maxQueued = 8192
/** With so many records waiting there is no need to wait for others. */
const enough = 256

export interface Inbox {
  /** The seq of the last record that was offered. */
  readonly offered: () => number
  /** Records up to this one come from the log. */
  readonly gap: () => number
  readonly queued: () => number
  /** Whether there is something to deliver, in memory or left to the log. */
  readonly waits: () => boolean
  /** Whether it is time to deliver. `offset`: where in the log the next record will be. */
  readonly offer: (rows: ReadonlyArray<Row>, offset: number) => boolean
  /** The next records, at most about so many, and where in the log those after them begin. */
  readonly take: (most: number, offset: number) => { readonly rows: ReadonlyArray<Row>; readonly offset: number }
  /** What was left to the log is to be read from there; false if nothing was. Memory fills again from now on. */
  readonly catchUp: () => boolean
  /** Everything that was offered so far is to be read from the log. */
  readonly readFromLog: () => void
}

/** `lastSeq`: of the last record that the log had before the first one is offered. */
export const make = (lastSeq: number): Inbox => {
  let offered = lastSeq
  let gap = lastSeq
  let queue: Array<{ readonly rows: ReadonlyArray<Row>; readonly offset: number }> = []
  let queued = 0
  // Whether memory has no room, and what is offered is left to the log.
  let behind = false
  return {
    offered: () => offered,
    gap: () => gap,
    queued: () => queued,
    waits: () => queued > 0 || behind,
    offer: (rows, offset) => {
      offered = Math.max(offered, rows.at(-1)?.seq ?? 0)
      if (behind || queued + rows.length > maxQueued) behind = true
      else {
        queue.push({ rows, offset })
        queued += rows.length
      }
      return behind || queued >= enough
    },
    take: (most, from) => {
      const rows: Array<Row> = []
      let offset = from
      let taken = 0
      for (const chunk of queue) {
        if (taken > 0 && rows.length + chunk.rows.length > most) break
        for (const row of chunk.rows) rows.push(row)
        offset = chunk.offset
        taken++
      }
      queue = queue.slice(taken)
      queued -= rows.length
      return { rows, offset }
    },
    catchUp: () => {
      if (!behind) return false
      gap = offered
      behind = false
      return true
    },
    readFromLog: () => {
      queue = []
      queued = 0
      behind = false
      gap = offered
    }
  }
}
