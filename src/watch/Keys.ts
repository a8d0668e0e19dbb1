/**
 * What a terminal sends when keys are pressed: bytes to names of keys.
 *
 * A name is the character itself, or a word: "enter", "escape", "up", "ctrl-c". What is not known is left out, as whole
 * sequences: a mouse or a paste presses no keys.
 *
 * @since 0.5.0
 */

/** What follows `ESC [` or `ESC O`. */
const sequences: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  H: "home",
  F: "end",
  Z: "shift-tab",
  "1~": "home",
  "3~": "delete",
  "4~": "end",
  "5~": "pageup",
  "6~": "pagedown",
  "7~": "home",
  "8~": "end",
  "1;2C": "shift-right",
  "1;2D": "shift-left",
  "1;5C": "shift-right",
  "1;5D": "shift-left"
}

const controls: Readonly<Record<number, string>> = {
  0x03: "ctrl-c",
  0x04: "ctrl-d",
  0x08: "backspace",
  0x09: "tab",
  0x0a: "enter",
  0x0c: "ctrl-l",
  0x0d: "enter",
  0x15: "ctrl-u",
  0x1a: "ctrl-z",
  0x7f: "backspace"
}

/**
 * The keys in a piece of input, and what of it may be the start of another one.
 *
 * @category decoding
 * @since 0.5.0
 */
export const decode = (input: string): { readonly keys: ReadonlyArray<string>; readonly rest: string } => {
  const keys: Array<string> = []
  for (let at = 0; at < input.length;) {
    if (input[at] === "\x1b") {
      const found = /^(?:\[[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e]|O[\x40-\x7e])/.exec(input.slice(at + 1, at + 32))
      if (found !== null) {
        const pasted = found[0] === "[200~" ? input.indexOf("\x1b[201~", at) : -1
        const name = sequences[found[0].slice(1)]
        if (name !== undefined) keys.push(name)
        at = pasted < 0 ? at + 1 + found[0].length : pasted + 6
        continue
      }
      const rest = input.slice(at)
      if (rest.length < 32 && /^(?:\[[\x30-\x3f]*|O)?$/.test(rest.slice(1))) return { keys, rest }
      // An escape, or Alt with a key, which is the key to us.
      keys.push("escape")
      at++
      continue
    }
    const code = input.codePointAt(at) ?? 0
    const character = String.fromCodePoint(code)
    const control = controls[code]
    if (control !== undefined) keys.push(control)
    else if (code >= 0x20 && !(code >= 0x80 && code < 0xa0)) keys.push(character)
    at += character.length
  }
  return { keys, rest: "" }
}

/**
 * What the start of a sequence was after all, when nothing came after it.
 *
 * @category decoding
 * @since 0.5.0
 */
export const settle = (rest: string): ReadonlyArray<string> => rest === "" ? [] : ["escape"]
