/**
 * Images and tables as W&B shows them: a file of the run, and an object that stands where a metric's value would and
 * says where the file is.
 *
 * - `media/images/<name>_<step>_<hash>.png` and `{"_type":"image-file",...}`
 * - `media/table/<name>_<hash>.table.json` and `{"_type":"table-file",...}`
 *
 * W&B shows 10,000 rows of a table at most, so no more are sent: of more, every second, fourth, ... and the last one.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { BackendError, ImageOptions, Table } from "../../Backend.ts"
import { explain } from "../../internal/systemError.ts"
import type { Value } from "../../Metrics.ts"
import * as Files from "./Files.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A file, and the JSON text of what refers to it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Media {
  readonly upload: Files.Upload
  readonly reference: string
}

/**
 * The most rows of a table that are sent.
 *
 * @category models
 * @since 0.2.0
 */
export const mostRows = 10_000

// -----------------------------------------------------------------------------
// Images
// -----------------------------------------------------------------------------

/**
 * An image file as it is now.
 *
 * @category constructors
 * @since 0.2.0
 */
export const image = (
  name: string,
  path: string,
  { caption, step }: ImageOptions,
  lastStep: number
): Effect.Effect<Media, BackendError> =>
  Effect.try({
    try: () => Fs.readFileSync(path),
    catch: (cause) => Files.gone("logImage", [`${path}: ${explain(cause)}`])
  }).pipe(Effect.map((bytes) => {
    const sha256 = hash(bytes)
    const extension = Path.extname(path).toLowerCase() || ".png"
    const at = `media/images/${safe(name)}_${step ?? lastStep}_${sha256.slice(0, 20)}${extension}`
    const size = sizeOf(bytes)
    return {
      upload: { path: at, from: bytes },
      reference: JSON.stringify({
        _type: "image-file",
        path: at,
        sha256,
        size: bytes.length,
        format: extension.slice(1),
        ...size,
        ...(caption === undefined ? {} : { caption })
      })
    }
  }))

/** Width and height, of PNG and JPEG. */
const sizeOf = (bytes: Buffer): { readonly width?: number; readonly height?: number } => {
  if (bytes.length >= 24 && bytes.readUInt32BE(0) === pngMagic) {
    return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
  }
  if (bytes.length < 4 || bytes.readUInt16BE(0) !== jpegMagic) return {}
  // Segment after segment, each with its length, up to the frame that says how large it is.
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes[at + 1] ?? 0
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) }
    }
  }
  return {}
}

const pngMagic = 0x89504e47
const jpegMagic = 0xffd8

// -----------------------------------------------------------------------------
// Tables
// -----------------------------------------------------------------------------

/**
 * A table, read to its end. `every` is 1 if all of its rows are in it, else that of so many one is.
 *
 * @category constructors
 * @since 0.2.0
 */
export const table = (
  name: string,
  { columns, rows }: Table
): Effect.Effect<Media & { readonly every: number; readonly total: number }, BackendError> =>
  Effect.suspend(() => {
    let kept: Array<string> = []
    let every = 1
    let total = 0
    let last: ReadonlyArray<Value | undefined> | undefined
    const take = (row: ReadonlyArray<Value | undefined>) => {
      if (total % every === 0) {
        // Room for the last row stays.
        if (kept.length >= mostRows - 1) {
          kept = kept.filter((_, i) => i % 2 === 0)
          every *= 2
        }
        if (total % every === 0) kept.push(JSON.stringify(row.map(cell)))
      }
      last = row
      total++
    }
    return Stream.runForEachArray(rows, (chunk) => Effect.sync(() => chunk.forEach(take))).pipe(
      Effect.andThen(Effect.suspend(() =>
        every === 1
          ? Effect.void
          : Effect.logInfo(`W&B shows ${mostRows} rows of a table: of the ${total} of ${name}, one of ${every} is sent`)
      )),
      Effect.map(() => {
        if (last !== undefined && (total - 1) % every !== 0) kept.push(JSON.stringify(last.map(cell)))
        const bytes = Buffer.from(`{"columns":${JSON.stringify(columns)},"data":[${kept.join(",")}]}`)
        const sha256 = hash(bytes)
        const at = `media/table/${safe(name)}_${sha256.slice(0, 20)}.table.json`
        return {
          every,
          total,
          upload: { path: at, from: bytes },
          reference: JSON.stringify({
            _type: "table-file",
            path: at,
            sha256,
            size: bytes.length,
            ncols: columns.length,
            nrows: kept.length
          })
        }
      })
    )
  })

/** JSON has no NaN, and what shows tables reads JSON. */
const cell = (value: Value | undefined): unknown =>
  value === undefined ? null : typeof value === "number" && !Number.isFinite(value) ? String(value) : value

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

/** A name as part of a path: it stays below its folder, on every file system. */
const safe = (name: string): string =>
  name.replaceAll(/[<>:"\\|?*\p{Cc}]/gu, "_").split("/").filter((part) => !/^\.*$/.test(part)).join("/").slice(-120)

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
