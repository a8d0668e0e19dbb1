/**
 * A terminal to look at: tmux, with a server of its own for each test.
 */
import { assert, onTestFinished } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { main } from "../cli/command.ts"

/** A terminal in which the command runs. */
export interface Terminal {
  /** What is on the screen; with its colours, if asked for. */
  readonly screen: (colors?: boolean) => string
  /** Presses keys, by tmux's names of them. */
  readonly press: (...keys: ReadonlyArray<string>) => void
  /** Types text. */
  readonly type: (text: string) => void
  readonly resize: (columns: number, rows: number) => void
  /** Waits until the screen is as wanted, and gives it. */
  readonly until: (wanted: (screen: string) => boolean) => Promise<string>
  /** The process that runs in it. */
  readonly pid: () => number
  /** Whether the alternate screen is on, and whether the cursor is to be seen. */
  readonly modes: () => { readonly alternate: boolean; readonly cursor: boolean }
}

let servers = 0

/** How large it is, and what is in its environment. */
export interface Options {
  readonly columns: number
  readonly rows: number
  readonly env?: Readonly<Record<string, string>>
}

/** `ezpz-stream watch` with arguments, for a shell. */
export const commandLine = (args: ReadonlyArray<string>): string =>
  [process.execPath, main, "watch", ...args].map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" ")

/**
 * Starts `ezpz-stream watch` with arguments; when it has ended, the screen says `ENDED` and its code, or `LEFT RAW` if the
 * terminal is not as it was.
 */
export const watch = (args: ReadonlyArray<string>, options: Options): Terminal => {
  const script = `before=$(stty -g); ${commandLine(args)}; code=$?; ` +
    `test "$before" = "$(stty -g)" && echo "ENDED $code" || echo "LEFT RAW $code"; exec sleep 600`
  return open(["sh", "-c", script], options)
}

/** Starts any command in a terminal. */
export const open = (command: ReadonlyArray<string>, { columns, env = {}, rows }: Options): Terminal => {
  const socket = `ezpz-${process.pid}-${++servers}`
  const tmux = (...args: ReadonlyArray<string>): string =>
    execFileSync("tmux", ["-u", "-f", "/dev/null", "-L", socket, ...args], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], LANG: "C.UTF-8", ...env }
    })
  onTestFinished(() => {
    tmux("kill-server")
  })
  tmux("new-session", "-d", "-s", "t", "-x", String(columns), "-y", String(rows), ...command)
  const screen = (colors = false): string => tmux("capture-pane", "-p", "-t", "t", ...colors ? ["-e"] : [])
  return {
    screen,
    press: (...keys) => {
      tmux("send-keys", "-t", "t", ...keys)
    },
    type: (text) => {
      tmux("send-keys", "-t", "t", "-l", text)
    },
    resize: (width, height) => {
      tmux("resize-window", "-t", "t", "-x", String(width), "-y", String(height))
    },
    until: async (wanted) => {
      for (let tries = 0;; tries++) {
        const shown = screen()
        if (wanted(shown)) return shown
        if (tries > 500) throw new Error(`what was waited for did not come; the screen shows:\n${shown}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    pid: () => {
      const shell = tmux("display-message", "-p", "-t", "t", "#{pane_pid}").trim()
      return Number(execFileSync("pgrep", ["-P", shell], { encoding: "utf8" }).trim().split("\n")[0])
    },
    modes: () => {
      const [alternate, cursor] = tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag}").trim()
        .split(" ")
      return { alternate: alternate === "1", cursor: cursor === "1" }
    }
  }
}

/** Whether a screen has texts. */
export const has = (...texts: ReadonlyArray<string>) => (screen: string): boolean =>
  texts.every((text) => screen.includes(text))

/** Waits until it is over, with the terminal as it was. */
export const ended = async (terminal: Terminal, code: number): Promise<void> => {
  await terminal.until(has(`ENDED ${code}`))
  assert.deepStrictEqual(terminal.modes(), { alternate: false, cursor: true })
}
