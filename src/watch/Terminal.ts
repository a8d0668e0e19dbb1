/**
 * The terminal while a screen is on it: raw keys in, the alternate screen, and everything as it was when it is over,
 * whichever way it ends: the scope closes, the process exits, or it is stopped (ctrl-z) and goes on later.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What comes from a terminal: input as it was typed, another size, the wish to have everything drawn anew, or its end.
 *
 * @category models
 * @since 0.5.0
 */
export type Message =
  | { readonly _tag: "Input"; readonly text: string }
  | { readonly _tag: "Resize" }
  | { readonly _tag: "Redraw" }
  | { readonly _tag: "Closed" }

/**
 * A terminal that shows a screen of ours. `isBehind`: it has not taken what was sent to it.
 *
 * @category models
 * @since 0.5.0
 */
export interface Terminal {
  readonly size: () => { readonly columns: number; readonly rows: number }
  readonly write: (text: string) => void
  readonly isBehind: () => boolean
  /** Stops the process as ctrl-z does. */
  readonly suspend: () => void
}

/** The alternate screen, no cursor, no wrapping at the right edge; and back. */
const enterText = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
const leaveText = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"

const farBehind = 256 * 1024

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Takes the terminal until the scope closes. `tell` gets what comes from it.
 *
 * @category constructors
 * @since 0.5.0
 */
export const take = (tell: (message: Message) => void): Effect.Effect<Terminal, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.sync(() => open(tell)), ({ close }) => Effect.sync(close)),
    ({ terminal }) => terminal
  )

const open = (tell: (message: Message) => void): { readonly terminal: Terminal; readonly close: () => void } => {
  const { stdin, stdout } = process
  let entered = false
  let broken = false
  let waiting: NodeJS.Timeout | undefined

  const enter = (): void => {
    entered = true
    if (stdin.isTTY) stdin.setRawMode(true)
    stdout.write(enterText)
  }
  const leave = (): void => {
    if (!entered) return
    entered = false
    if (!broken) stdout.write(leaveText)
    try {
      if (stdin.isTTY) stdin.setRawMode(false)
    } catch {
      // The terminal is gone, and its settings with it.
    }
  }
  const input = (text: string): void => tell({ _tag: "Input", text })
  const resized = (): void => tell({ _tag: "Resize" })
  const closed = (): void => tell({ _tag: "Closed" })
  const failed = (): void => {
    broken = true
    closed()
  }
  const goOn = (): void => {
    clearTimeout(waiting)
    enter()
    tell({ _tag: "Redraw" })
  }

  process.once("exit", leave)
  process.on("SIGCONT", goOn)
  stdout.on("resize", resized)
  stdout.on("error", failed)
  if (stdin.isTTY) {
    stdin.setEncoding("utf8")
    stdin.on("data", input)
    stdin.on("end", closed)
    stdin.on("error", closed)
    stdin.resume()
  }
  enter()

  return {
    terminal: {
      size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
      write: (text) => {
        if (!broken) stdout.write(text)
      },
      isBehind: () => stdout.writableLength > farBehind,
      suspend: () => {
        leave()
        // All that runs with us, as the terminal itself would; where nobody could wake us we are not stopped at all.
        process.kill(0, "SIGTSTP")
        waiting = setTimeout(goOn, 200)
      }
    },
    close: () => {
      clearTimeout(waiting)
      process.off("exit", leave)
      process.off("SIGCONT", goOn)
      stdout.off("resize", resized)
      stdin.off("data", input)
      stdin.off("end", closed)
      stdin.pause()
      leave()
    }
  }
}
