import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { crc32 } from "node:zlib"
import type * as Backend from "../../../src/Backend.ts"
import * as Wandb from "../../../src/backend/wandb/Wandb.ts"
import type { Metrics } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"

export const createdAt = 1_764_000_000.25

export const row = (seq: number, metrics: Metrics, statistics?: Metrics): Row => ({
  seq,
  step: (seq - 1) * 10,
  timestamp: 1_764_000_000 + seq,
  rank: 0,
  metrics,
  statistics: statistics === undefined ? undefined : { values: statistics, count: 1, expected: 1 }
})

export const context = (directory: string, more: Partial<Backend.Context> = {}): Backend.Context => ({
  runId: "run-1",
  runName: undefined,
  projectName: "project",
  projectGiven: true,
  directory,
  config: {},
  keys: [],
  environment: { WANDB_MODE: "offline" },
  createdAt,
  live: true,
  facts: Effect.succeed({ hostname: "node7", git_commit: "abc" }),
  checkpoint: undefined,
  ...more
})

/** A backend in a scope of its own: `kill` is all that a process that dies does. */
export const startProcess = (directory: string, more: Partial<Backend.Context> = {}) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const wandb = yield* Scope.provide(Wandb.factory(context(directory, more)), scope)
    return { wandb, kill: Scope.close(scope, Exit.void) }
  })

/** What a supervisor keeps of a checkpoint. */
export const kept = (checkpoint: unknown): unknown => JSON.parse(JSON.stringify(checkpoint))

/** The folder of the only offline run in a directory. */
export const folder = (directory: string): string => {
  const [name, ...others] = Fs.readdirSync(Path.join(directory, "wandb"))
  if (name === undefined || others.length > 0) throw new Error(`not one run: ${name} ${others.join()}`)
  return Path.join(directory, "wandb", name)
}

/** The records of a `.wandb` file, read as strictly as can be: the whole file, or an error. */
export const records = (file: Uint8Array): Array<Buffer> => {
  const bytes = Buffer.from(file)
  if (bytes.toString("latin1", 0, 7) !== ":W&B\u00e1\u00be\u0000") throw new Error("no header")
  const found: Array<Buffer> = []
  let parts: Array<Buffer> | undefined
  let at = 7
  while (at < bytes.length) {
    const left = 32_768 - at % 32_768
    if (left < 7) {
      if (bytes.subarray(at, at + left).some((byte) => byte !== 0)) throw new Error(`padding at ${at}`)
      at += left
      continue
    }
    const length = bytes.readUInt16LE(at + 4)
    const type = bytes.readUInt8(at + 6)
    const data = bytes.subarray(at + 7, at + 7 + length)
    if (length > left - 7 || data.length < length) throw new Error(`a chunk of ${length} at ${at}`)
    if (crc32(bytes.subarray(at + 6, at + 7 + length)) !== bytes.readUInt32LE(at)) throw new Error(`checksum at ${at}`)
    if ((type === 1 || type === 2) !== (parts === undefined)) throw new Error(`type ${type} at ${at}`)
    parts = [...parts ?? [], data]
    at += 7 + length
    if (type === 1 || type === 4) {
      found.push(Buffer.concat(parts))
      parts = undefined
    } else if (at % 32_768 !== 0) throw new Error(`an open record ends within its block at ${at}`)
  }
  if (parts !== undefined) throw new Error("the last record has no end")
  return found
}

/** The lines of history, the summary, and all records' kinds that a file holds, by the numbers of their fields. */
export const contents = (path: string) => {
  const history: Array<Record<string, string>> = []
  const kinds: Array<number> = []
  const summary: Record<string, string> = {}
  for (const record of records(Fs.readFileSync(path))) {
    for (const [field, value] of fields(record)) {
      if (field !== 1) kinds.push(field)
      if (typeof value === "bigint") continue
      if (field === 2) history.push(items(value))
      if (field === 3) Object.assign(summary, items(value))
    }
  }
  return { history, kinds, summary }
}

const items = (bytes: Buffer): Record<string, string> => {
  const found: Record<string, string> = {}
  for (const [kind, item] of fields(bytes)) {
    if (kind !== 1 || typeof item === "bigint") continue
    const members = fields(item)
    const keys = members.filter(([field]) => field === 2).map(([, key]) => String(key))
    found[keys.join(".")] = String(members.find(([field]) => field === 16)?.[1])
  }
  return found
}

const fields = (bytes: Buffer): Array<readonly [field: number, value: bigint | Buffer]> => {
  const found: Array<readonly [number, bigint | Buffer]> = []
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n;; shift += 7n) {
      const byte = bytes.readUInt8(at++)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    if ((tag & 7) === 0) found.push([tag >> 3, varint()])
    else if ((tag & 7) === 2) {
      const length = Number(varint())
      found.push([tag >> 3, bytes.subarray(at, at + length)])
      at += length
    } else throw new Error(`wire type ${tag & 7}`)
  }
  return found
}
