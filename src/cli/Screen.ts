/**
 * What a person sees: lines on stdout, notices on stderr, and on a terminal a progress bar below them.
 *
 * A closed stdout (`| head`) stops the lines and nothing else. A slow reader of stdout or stderr holds nothing up until
 * it is 16 MiB behind. Colours and the bar are for terminals only; NO_COLOR is respected.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"

export class Screen extends Context.Service<Screen, {
  /** Whole lines for stdout, `\n` included. */
  readonly out: (text: string) => Effect.Effect<void>
  /** Whole lines for stderr, `\n` included. */
  readonly error: (text: string | Uint8Array) => Effect.Effect<void>
  /**
   * Draws the bar anew (at most ten times a second), or does nothing where there is no terminal. It stays below what is
   * written afterwards, until it is cleared.
   */
  readonly progress: (bar: () => Bar) => void
  readonly clearProgress: () => void
  readonly columns: number
  readonly isTerminal: boolean
  readonly color: boolean
}>()("ezpz-stream/cli/Screen") {}

/** `fraction` is undefined where the total is not known. Where there is no room, the last of the details go first. */
export interface Bar {
  readonly label: string
  readonly fraction: number | undefined
  readonly details: ReadonlyArray<string>
}

const farBehind = 16 * 1024 * 1024
const frameMillis = 100

export const layer: Layer.Layer<Screen> = Layer.sync(Screen, () => {
  const { stderr, stdout } = process
  const isTerminal = stderr.isTTY === true && process.env["TERM"] !== "dumb"
  /** The bar as it was drawn last. */
  let shown = ""
  let drawnAt = 0

  const clearProgress = (): void => {
    if (shown !== "") stderr.write(eraseLine)
    shown = ""
  }
  /** Writes lines where the bar is, and the bar below them. */
  const above = (write: () => void): void => {
    if (shown === "") return write()
    stderr.write(eraseLine)
    write()
    stderr.write(shown)
  }

  // Of a closed stderr nobody is left to be told.
  const stderrIsOpen = untilError(stderr, () => {})
  const stdoutIsOpen = untilError(stdout, (error) => {
    clearProgress()
    if (stderrIsOpen()) {
      stderr.write(
        `stdout ${isClosed(error) ? "was closed" : `failed: ${error.message}`}; nothing more is written there\n`
      )
    }
  })
  // Behind a pipe (`| tee`) the lines may come to this terminal all the same: then they find no bar in their place.
  const goesOn = isTerminal && isPipe(1)
  // A second signal ends the process in the middle of anything.
  process.once("exit", clearProgress)

  return {
    out: (text) =>
      Effect.suspend(() => {
        if (!stdoutIsOpen() || text === "") return Effect.void
        if (stdout.isTTY === true) above(() => void stdout.write(text))
        else {
          if (goesOn) clearProgress()
          stdout.write(text)
        }
        return stdout.writableLength < farBehind ? Effect.void : untilDrained(stdout)
      }),
    error: (text) =>
      Effect.suspend(() => {
        if (!stderrIsOpen() || text.length === 0) return Effect.void
        above(() => void stderr.write(text))
        return stderr.writableLength < farBehind ? Effect.void : untilDrained(stderr)
      }),
    progress: (bar) => {
      const now = performance.now()
      if (!isTerminal || !stderrIsOpen() || (shown !== "" && now - drawnAt < frameMillis)) return
      drawnAt = now
      // The cursor goes back to the start, so that what another process prints meanwhile takes the bar's place.
      shown = `${eraseLine}${render(bar(), stderr.columns || 80)}\r`
      stderr.write(shown)
    },
    clearProgress,
    columns: stdout.columns || fromEnvironment() || stderr.columns || 80,
    isTerminal,
    color: isTerminal && (process.env["NO_COLOR"] ?? "") === ""
  }
})

const isPipe = (fd: number): boolean => {
  try {
    const stat = Fs.fstatSync(fd)
    return stat.isFIFO() || stat.isSocket()
  } catch {
    return false
  }
}

/** What COLUMNS says, for where stdout is no terminal and cannot say. */
const fromEnvironment = (): number | undefined => {
  const columns = Number(process.env["COLUMNS"])
  return Number.isInteger(columns) && columns > 0 ? columns : undefined
}

/** How wide plots are: narrower nothing can be read, wider nothing is gained. */
export const plotColumns = (screen: Screen["Service"]): number => Math.max(20, Math.min(120, screen.columns))

/** Whether a stream has not failed yet. Its first failure is told. */
const untilError = (stream: NodeJS.WriteStream, tell: (error: NodeJS.ErrnoException) => void): () => boolean => {
  let open = true
  stream.on("error", (error) => {
    if (open) {
      open = false
      tell(error)
    }
  })
  return () => open
}

const isClosed = (error: NodeJS.ErrnoException): boolean => error.code === "EPIPE" || error.code === "EIO"

const untilDrained = (stream: NodeJS.WriteStream): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const done = (): void => {
      stream.off("drain", done)
      stream.off("error", done)
      resume(Effect.void)
    }
    stream.once("drain", done)
    stream.once("error", done)
    return Effect.sync(done)
  })

/** Completes once all that was written to a stream is out, or cannot get out any more. */
export const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) resolve()
    else stream.once("error", () => resolve()).write("", () => resolve())
  })

const eraseLine = "\r\x1b[K"

const mostWidth = 24
const leastWidth = 8

/**
 * A bar as one line that leaves the last column free, so that no terminal wraps it. Where there is no room, first the bar
 * gets shorter, then the last details go, and then the bar.
 */
export const render = ({ details, fraction, label }: Bar, columns: number): string => {
  const room = Math.max(0, columns - 1)
  const done = fraction === undefined ? undefined : Math.max(0, Math.min(1, fraction))
  const percent = done === undefined ? "" : ` ${String(Math.floor(done * 100)).padStart(3)}%`
  for (let n = details.length; n >= Math.min(1, details.length); n--) {
    const rest = `${percent}${n === 0 ? "" : `  ${details.slice(0, n).join(" · ")}`}`
    if (done === undefined) {
      if (label.length + rest.length <= room) return `${label}${rest}`
      continue
    }
    const width = Math.min(mostWidth, room - label.length - 1 - rest.length)
    if (width < leastWidth) continue
    const filled = Math.round(done * width)
    return `${label} ${"━".repeat(filled)}${"─".repeat(width - filled)}${rest}`
  }
  return `${label}${percent}${details.length === 0 ? "" : `  ${details[0]}`}`.slice(0, room)
}
