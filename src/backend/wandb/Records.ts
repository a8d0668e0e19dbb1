/**
 * The records of a `.wandb` file, as protocol buffers.
 *
 * Only the messages and fields that are needed are known here, by their numbers, and they are written by hand with
 * protobufjs' writer: no schema is read at start-up, and a line of history is encoded in about 2 us.
 *
 *     Record    num 1, history 2, summary 3, config 5, files 6, stats 7, metric 12, run 17, exit 18, header 21, footer 22,
 *               environment 26
 *     history   item 1 { nested_key 2, value_json 16 }, step 2 { num 1 }
 *     summary   update 1 { nested_key 2, value_json 16 }
 *     config    update 1 { key 1, value_json 16 }
 *     files     files 1 { path 1, policy 2 (0: now), type 3 (0: other, 2: media) }
 *     stats     timestamp 2, item 3 { key 1, value_json 16 }
 *     metric    name 1, glob_name 2, step_metric 4, options 6 { step_sync 1, defined 3 }
 *     run       run_id 1, entity 2, project 3, config 4, run_group 6, job_type 7, display_name 8, notes 9, tags 10, host 13,
 *               start_time 17
 *     exit      exit_code 1, runtime 2
 *     header    version_info 1 { producer 1, min_consumer 2 }
 *     environment os 1, started_at 3, program 6, git 9 { commit 2 }, host 12, username 13, cpu_count_logical 17
 *     timestamp seconds 1, nanos 2
 *
 * A run's file is: header, run, environment, definitions of metrics; then history, summary, stats, config and files as
 * they come. What closes it begins with a summary that has `_wandb.runtime`, which is how a run that goes on finds the
 * place to go on from; then come the last line of history, if images or tables are shown in it, exit and footer.
 *
 * @since 0.2.0
 */
import protobuf from "protobufjs/minimal.js"
import type { Facts } from "../../Backend.ts"
import type { Row } from "../../Row.ts"
import * as History from "./History.ts"
import type { Settings } from "./Settings.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Records one after the other: `num` is that of the last one, `ends` where each ends in what the writer holds.
 *
 * @category models
 * @since 0.2.0
 */
export interface Batch {
  readonly writer: protobuf.Writer
  readonly ends: Array<number>
  num: number
}

/**
 * A key with its value as JSON text.
 *
 * @category models
 * @since 0.2.0
 */
export type Item = readonly [key: string, json: string]

/**
 * What is read of a record. `step` is that of a line of history. `closing` says that it is one of those that close a
 * run, `exitCode` how.
 *
 * @category models
 * @since 0.2.0
 */
export interface Read {
  readonly num: number
  readonly step: number | undefined
  readonly closing: boolean
  readonly exitCode: number | undefined
}

/**
 * No records yet, after those up to a number.
 *
 * @category constructors
 * @since 0.2.0
 */
export const batch = (num: number): Batch => ({ writer: protobuf.Writer.create(), ends: [], num })

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

type Writer = protobuf.Writer

/** The tag of a field with a length: text or a message. */
const tag = (field: number): number => (field << 3) | 2
const fieldOfNumber = (field: number): number => field << 3

const record = (out: Batch, field: number, write: (writer: Writer) => void): void => {
  const { writer } = out
  writer.uint32(fieldOfNumber(1)).int64(++out.num)
  message(writer, field, write)
  out.ends.push(writer.pos)
}

const message = (writer: Writer, field: number, write: (writer: Writer) => void): void => {
  writer.uint32(tag(field)).fork()
  write(writer)
  writer.ldelim()
}

const text = (writer: Writer, field: number, value: string | undefined): void => {
  if (value !== undefined) writer.uint32(tag(field)).string(value.toWellFormed())
}

/** Zero is what is not there. */
const integer = (writer: Writer, field: number, value: number): void => {
  if (value !== 0) writer.uint32(fieldOfNumber(field)).int64(value)
}

const timestamp = (writer: Writer, field: number, seconds: number): void =>
  message(writer, field, () => {
    integer(writer, 1, Math.floor(seconds))
    integer(writer, 2, Math.round((seconds - Math.floor(seconds)) * 1e6) * 1000)
  })

const valueJson = tag(16)

/** The hot one. */
const item = (writer: Writer, field: number, keyField: number, key: string, json: string): void => {
  writer.uint32(field).fork().uint32(keyField).string(key).uint32(valueJson).string(json).ldelim()
}

/**
 * What a file begins with. `producer` is the program that writes it; `min_consumer` the oldest `wandb` that reads it.
 *
 * @category writing
 * @since 0.2.0
 */
export const header = (out: Batch, producer: string): void =>
  record(out, 21, (writer) =>
    message(writer, 1, () => {
      text(writer, 1, producer)
      text(writer, 2, "0.70.0")
    }))

/**
 * The run: its place, its names, its configuration.
 *
 * @category writing
 * @since 0.2.0
 */
export const run = (
  out: Batch,
  settings: Settings,
  config: ReadonlyArray<Item>,
  host: string | undefined,
  createdAt: number
): void =>
  record(out, 17, (writer) => {
    text(writer, 1, settings.runId)
    text(writer, 2, settings.entity)
    text(writer, 3, settings.project)
    message(writer, 4, () => configItems(writer, config))
    text(writer, 6, settings.group)
    text(writer, 7, settings.jobType)
    text(writer, 8, settings.displayName)
    text(writer, 9, settings.notes)
    for (const label of settings.tags) text(writer, 10, label)
    text(writer, 13, host)
    timestamp(writer, 17, createdAt)
  })

/**
 * Where a run comes from: W&B makes `wandb-metadata.json` of it.
 *
 * @category writing
 * @since 0.2.0
 */
export const environment = (out: Batch, facts: Facts, createdAt: number): void =>
  record(out, 26, (writer) => {
    const fact = (field: number, name: string) => text(writer, field, facts[name]?.toString())
    fact(1, "os")
    timestamp(writer, 3, createdAt)
    fact(6, "command")
    if (facts["git_commit"] !== undefined) message(writer, 9, () => fact(2, "git_commit"))
    fact(12, "hostname")
    fact(13, "user")
    if (typeof facts["cores"] === "number") integer(writer, 17, facts["cores"])
  })

/**
 * That the job's step is a metric, and that all others are drawn over it.
 *
 * @category writing
 * @since 0.2.0
 */
export const definitions = (out: Batch): void => {
  for (const definition of History.definitions) {
    record(out, 12, (writer) => {
      if ("name" in definition) text(writer, 1, definition.name)
      else {
        text(writer, 2, definition.globName)
        text(writer, 4, definition.stepMetric)
      }
      message(writer, 6, () => {
        if ("globName" in definition) integer(writer, 1, 1)
        integer(writer, 3, 1)
      })
    })
  }
}

const configItems = (writer: Writer, items: ReadonlyArray<Item>): void => {
  for (const [key, json] of items) item(writer, tag(1), tag(1), key.toWellFormed(), json)
}

/**
 * Keys of the configuration that are new, or have a new value.
 *
 * @category writing
 * @since 0.2.0
 */
export const config = (out: Batch, items: ReadonlyArray<Item>): void =>
  record(out, 5, (writer) => configItems(writer, items))

/**
 * A line of history, with more items at its end. What it says is noted in `latest`.
 *
 * @category writing
 * @since 0.2.0
 */
export const row = (
  out: Batch,
  row: Row,
  createdAt: number,
  more: Iterable<Item>,
  latest: Map<string, string>
): void =>
  record(out, 2, (writer) => {
    History.each(row, createdAt, (key, json) => {
      if (json !== "null") latest.set(key, json)
      item(writer, tag(1), tag(2), wellFormed(key), json)
    })
    for (const [key, json] of more) item(writer, tag(1), tag(2), key.toWellFormed(), json)
    step(writer, History.stepOf(row))
  })

/** Nearly every key is. */
const wellFormed = (key: string): string => key.isWellFormed() ? key : key.toWellFormed()

const step = (writer: Writer, number: number): void => message(writer, 2, () => integer(writer, 1, number))

/**
 * A line of history that is no record's.
 *
 * @category writing
 * @since 0.2.0
 */
export const line = (out: Batch, number: number, items: Iterable<Item>): void =>
  record(out, 2, (writer) => {
    for (const [key, json] of items) item(writer, tag(1), tag(2), key.toWellFormed(), json)
    step(writer, number)
  })

/**
 * The latest values of metrics.
 *
 * @category writing
 * @since 0.2.0
 */
export const summary = (out: Batch, items: Iterable<Item>): void =>
  record(out, 3, (writer) => {
    for (const [key, json] of items) item(writer, tag(1), tag(2), wellFormed(key), json)
  })

/**
 * A sample of the machine's state. W&B puts `system.` before the names itself.
 *
 * @category writing
 * @since 0.2.0
 */
export const stats = (out: Batch, seconds: number, items: Iterable<readonly [name: string, value: number]>): void =>
  record(out, 7, (writer) => {
    timestamp(writer, 2, seconds)
    for (const [name, value] of items) {
      item(writer, tag(3), tag(1), name.replace(/^system\./, "").toWellFormed(), History.text(value))
    }
  })

/**
 * Files beneath `files/` that belong to the run.
 *
 * @category writing
 * @since 0.2.0
 */
export const files = (out: Batch, paths: Iterable<string>, kind: "other" | "media"): void =>
  record(out, 6, (writer) => {
    for (const path of paths) {
      message(writer, 1, () => {
        text(writer, 1, path)
        if (kind === "media") integer(writer, 3, 2)
      })
    }
  })

/**
 * What closes a run. `shown` is a last line of history.
 *
 * @category writing
 * @since 0.2.0
 */
export const close = (
  out: Batch,
  runtime: number,
  exitCode: number,
  shown: { readonly step: number; readonly items: ReadonlyArray<Item> } | undefined
): void => {
  const seconds = Math.floor(runtime)
  record(out, 3, (writer) =>
    message(writer, 1, () => {
      text(writer, 2, "_wandb")
      text(writer, 2, "runtime")
      writer.uint32(valueJson).string(String(seconds))
    }))
  if (shown !== undefined) line(out, shown.step, shown.items)
  record(out, 18, (writer) => {
    integer(writer, 1, exitCode)
    integer(writer, 2, seconds)
  })
  record(out, 22, () => {})
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/**
 * Reads what is needed to go on after a record; undefined for bytes that are none.
 *
 * @category reading
 * @since 0.2.0
 */
export const read = (bytes: Uint8Array): Read | undefined => {
  let num = 0
  let step: number | undefined
  let exitCode: number | undefined
  let closing = false
  try {
    eachField(bytes, (field, reader) => {
      if (field === 1) num = Number(reader.int64())
      else if (field === 2) {
        step = inside(reader, 2, (history) => inside(history, 1, (step) => Number(step.int64())) ?? 0)
      } else if (field === 3) {
        closing = inside(reader, 1, (update) => inside(update, 2, (key) => key.string())) === "_wandb"
      } else if (field === 18) {
        closing = true
        exitCode = inside(reader, 1, (exit) => exit.int32()) ?? 0
      } else if (field === 22) closing = skip(reader)
      else return false
      return true
    })
    return { num, step, closing, exitCode }
  } catch {
    return undefined
  }
}

const skip = (reader: protobuf.Reader): true => {
  reader.bytes()
  return true
}

const eachField = (bytes: Uint8Array, visit: (field: number, reader: protobuf.Reader) => boolean): void => {
  const reader = protobuf.Reader.create(bytes)
  while (reader.pos < reader.len) {
    const key = reader.uint32()
    if (!visit(key >>> 3, reader)) reader.skipType(key & 7)
  }
}

/** Something of the first field of that number in the message that comes next. */
const inside = <A>(
  reader: protobuf.Reader,
  wanted: number,
  get: (reader: protobuf.Reader) => A
): A | undefined => {
  let found: { readonly value: A } | undefined
  eachField(reader.bytes(), (field, reader) => {
    if (field !== wanted || found !== undefined) return false
    found = { value: get(reader) }
    return true
  })
  return found?.value
}
