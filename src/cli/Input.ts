/**
 * Where lines come from: standard input, a file or FIFO, a file that still grows.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import { Socket } from "node:net"
import { type ExitWith, failure, usage } from "./Exit.ts"

/** Bytes, and how many there will be, if that is known. */
export interface Input {
  readonly name: string
  readonly bytes: Stream.Stream<Uint8Array, ExitWith>
  readonly size: number | undefined
}

const chunkSize = 1024 * 1024
const followMillis = 200

export const stdin: Effect.Effect<Input, never, Stdio.Stdio> = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  const stat = yield* Effect.option(Effect.try(() => Fs.fstatSync(0)))
  return {
    name: "standard input",
    bytes: Stream.mapError(stdio.stdin, (error) => failure(`Standard input cannot be read: ${error.message}`)),
    size: Option.isSome(stat) && stat.value.isFile() ? remaining(stat.value.size) : undefined
  }
})

/** What is left of a file that somebody before us may have read from; Linux says so. */
const remaining = (size: number): number => {
  try {
    const position = /^pos:\s*(\d+)$/m.exec(Fs.readFileSync("/proc/self/fdinfo/0", "utf8"))?.[1]
    return Math.max(0, size - Number(position ?? 0))
  } catch {
    return size
  }
}

/** `follow`: at the end of the file, wait for more; a file that was truncated is read from its start. */
export const file = (path: string, follow: boolean): Effect.Effect<Input, ExitWith> =>
  Effect.gen(function*() {
    const stat = yield* Effect.try({
      try: () => Fs.statSync(path),
      catch: (error) =>
        usage(isMissing(error) ? `There is no file ${path}.` : `${path} cannot be read: ${reasonOf(error)}`)
    })
    if (stat.isDirectory()) {
      return yield* usage(`${path} is a directory. To fold a run again: ezpz-stream finalize ${path}`)
    }
    const regular = stat.isFile()
    return {
      name: path,
      bytes: stat.isFIFO() ? readPipe(path) : read(path, regular, follow && regular),
      size: regular && !follow ? stat.size : undefined
    }
  })

const cannotRead = (path: string) => (error: unknown): ExitWith => failure(`${path} cannot be read: ${reasonOf(error)}`)

/**
 * A FIFO is waited for by the event loop: a thread that opens or reads one which nobody writes to could not be ended,
 * and the process with it.
 */
const readPipe = (path: string): Stream.Stream<Uint8Array, ExitWith> =>
  Stream.unwrap(Effect.try({
    try: () => {
      const fd = Fs.openSync(path, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
      return Stream.fromAsyncIterable<Uint8Array, ExitWith>(new Socket({ fd, writable: false }), cannotRead(path))
    },
    catch: cannotRead(path)
  }))

const read = (path: string, regular: boolean, follow: boolean): Stream.Stream<Uint8Array, ExitWith> => {
  const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, ExitWith> =>
    Effect.tryPromise({ try: run, catch: cannotRead(path) })
  return Stream.unwrap(Effect.gen(function*() {
    const handle = yield* Effect.acquireRelease(
      attempt(() => Fs.promises.open(path, "r")),
      (opened) => Effect.ignore(attempt(() => opened.close()))
    )
    let at = 0
    const readInto = (buffer: Buffer) => handle.read(buffer, 0, chunkSize, regular ? at : null)
    // While a chunk of a file is worked on, the next one is read into the other buffer.
    let [buffer, other] = [Buffer.allocUnsafe(chunkSize), Buffer.allocUnsafe(chunkSize)]
    let ahead: ReturnType<typeof readInto> | undefined
    const next: Effect.Effect<Uint8Array | undefined, ExitWith> = Effect.gen(function*() {
      while (true) {
        const reading = ahead ?? readInto(buffer)
        ahead = undefined
        const { bytesRead } = yield* attempt(() => reading)
        at += bytesRead
        if (bytesRead > 0) {
          const chunk = buffer.subarray(0, bytesRead)
          ;[buffer, other] = [other, buffer]
          if (regular && !follow) {
            ahead = readInto(buffer)
            // It is told when its turn comes.
            ahead.catch(() => {})
          }
          return chunk
        }
        if (!follow) return undefined
        if ((yield* attempt(() => handle.stat())).size < at) {
          at = 0
          // What had no line break yet never gets one.
          return newline
        }
        yield* Effect.sleep(followMillis)
      }
    })
    return Stream.unfold(undefined, () => Effect.map(next, (bytes) => bytes && [bytes, undefined] as const))
  }))
}

const newline = Buffer.from("\n")

const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT"
