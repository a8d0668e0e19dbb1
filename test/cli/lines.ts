/**
 * Lines as jobs write them, with what is to become of each: made together, so that what is expected never comes from
 * the code under test.
 */

/** What a line is expected to be. `raw` is the line without its `\n`. */
export type Line =
  | { readonly _tag: "Blank"; readonly raw: Buffer }
  | { readonly _tag: "Refused"; readonly raw: Buffer }
  | {
    readonly _tag: "Accepted"
    readonly raw: Buffer
    readonly step: number | null
    readonly metrics: ReadonlyMap<string, Value>
  }

export type Value = number | boolean | string | null | ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>

/** A small generator of good quality (mulberry32): the same lines for the same seed, on every machine. */
export const random = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Gives one line after the other. */
export const generator = (seed: number): () => Line => {
  const next = random(seed)
  const below = (n: number): number => Math.floor(next() * n)
  const pick = <A>(items: ReadonlyArray<A>): A => items[below(items.length)]!
  const chance = (p: number): boolean => next() < p
  const space = (): string => chance(0.1) ? pick([" ", "  ", "\t", "\r", " \t "]) : ""

  // ---------------------------------------------------------------------------
  // Values: the text, and what it stands for
  // ---------------------------------------------------------------------------

  interface Json {
    readonly text: string
    /** A value, or the members of an object. */
    readonly value: Value | Members
  }
  type Members = Map<string, Json["value"]>

  const numberText = (): string =>
    pick<() => string>([
      () => String(below(1000)),
      () => String(next()),
      () => String(-next() * 1e-8),
      () => (next() * 100).toFixed(6),
      () =>
        pick(["0", "-0", "0.0", "-0.0", "1e-7", "1E5", "1e+300", "5e-324", "1.7976931348623157e308", "0.1", "1e22"]),
      () =>
        pick([
          "1e400",
          "-1e400",
          "1e-400",
          "123456789012345678901234567890",
          "9007199254740993",
          "-9223372036854775808"
        ]),
      () => pick(["NaN", "Infinity", "-Infinity", `"NaN"`, `"Infinity"`, `"-Infinity"`])
    ])()

  const numberOf = (text: string): number => Number(text.replaceAll(`"`, ""))

  const strings: ReadonlyArray<string> = [
    "",
    "ok",
    "a \"quoted\" word",
    "back\\slash",
    "line\nbreak",
    "tab\t",
    "\0",
    "nul\0inside",
    "é ü ß",
    "数据",
    "🚀",
    "\u2028\u2029",
    "\u202e right to left",
    "\u001b[31mred",
    "{not: json}",
    "NaN ",
    "nan",
    "inf",
    "null",
    "1",
    "</script>",
    "\ufeff",
    "Infinity and NaN",
    "x".repeat(300)
  ]

  /** As JSON text, in one of the ways there are to write a string. */
  const stringText = (text: string): string => {
    const json = JSON.stringify(text)
    if (!chance(0.2)) return json
    return json.replaceAll(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
  }

  const numbers = (): { readonly text: string; readonly values: ReadonlyArray<number> } => {
    const texts = Array.from({ length: below(6) }, () => chance(0.1) ? "null" : numberText())
    return {
      text: `[${texts.join(pick([",", ", "]))}]`,
      values: texts.map((text) => text === "null" ? NaN : numberOf(text))
    }
  }

  const others = (): Json => {
    const items: Array<unknown> = [pick(["a", "b", ""]), 1.5, null, true, { k: [1] }, [[[1]]]]
    const value = items.slice(0, 1 + below(items.length))
    const text = JSON.stringify(value)
    return { text, value: text }
  }

  const value = (depth: number): Json =>
    pick<() => Json>([
      () => number(),
      () => number(),
      () => number(),
      () => {
        const text = chance(0.05) ? pick(["\ud800", "a\udc00b"]) : pick(strings)
        return { text: stringText(text), value: text }
      },
      () => pick<Json>([{ text: "true", value: true }, { text: "false", value: false }, { text: "null", value: null }]),
      () => {
        const { text, values } = numbers()
        return { text, value: values }
      },
      () => {
        const rows = Array.from({ length: 1 + below(4) }, numbers)
        return { text: `[${rows.map((row) => row.text).join(",")}]`, value: rows.map((row) => row.values) }
      },
      () => chance(0.3) ? others() : number(),
      () => depth > 0 ? object(below(4), depth - 1) : number()
    ])()

  const number = (): Json => {
    const text = numberText()
    return { text, value: numberOf(text) }
  }

  // ---------------------------------------------------------------------------
  // Objects
  // ---------------------------------------------------------------------------

  const keys = [
    "loss",
    "train/loss",
    "eval/loss",
    "lr",
    "acc",
    "epoch",
    "iter",
    "iteration",
    "global_step",
    "_step",
    "a",
    "b",
    "a/b",
    "a/b/c",
    "time",
    "draw",
    "chain",
    "timestamp",
    "seq",
    "metrics",
    "rank",
    "with space",
    "ключ",
    "🔑"
  ]
  const hostile = [
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "toJSON",
    "valueOf",
    "",
    "/",
    "//",
    "a//b",
    "/a",
    "a/",
    "..",
    "../../x",
    "\0",
    "\n",
    "\"",
    "\\",
    "NaN",
    "Infinity",
    "{",
    "}",
    "step\u0000",
    "\ud800",
    "k".repeat(400),
    "-",
    "length"
  ]

  /** A later member of the same name replaces an earlier one, as JSON has it. */
  const object = (size: number, depth: number, leading: ReadonlyArray<readonly [string, Json]> = []): Json => {
    const members: Members = new Map()
    const texts: Array<string> = []
    for (let i = 0; i < size + leading.length; i++) {
      const [key, item] = leading[i] ?? [chance(0.05) ? pick(hostile) : pick(keys), value(depth)]
      members.set(key, item.value)
      texts.push(`${space()}${stringText(key)}${space()}:${chance(0.5) ? " " : ""}${item.text}${space()}`)
    }
    return { text: `{${texts.join(",")}}`, value: members }
  }

  const stepOf = (): Json => {
    const text = pick([
      String(below(1e6)),
      String(below(1e6)),
      "0",
      "-3",
      "1.5",
      "1e3",
      "null",
      `"7"`,
      "NaN",
      "1e400",
      "true"
    ])
    return { text, value: text === "null" ? null : text === "true" ? true : text === `"7"` ? "7" : Number(text) }
  }

  // ---------------------------------------------------------------------------
  // What is expected of a record
  // ---------------------------------------------------------------------------

  const expected = (members: Members): Pick<Line & { readonly _tag: "Accepted" }, "step" | "metrics"> => {
    const stepKey = ["step", "_step", "global_step", "iteration", "iter"].find((key) => {
      const found = members.get(key)
      return typeof found === "number" && Number.isFinite(found)
    })
    const metrics = new Map<string, Value>()
    const put = (path: string, value: Json["value"]): void => {
      if (value instanceof Map) {
        for (const [key, member] of inOrder(value)) put(`${path}/${key}`, member)
        return
      }
      let key = path
      for (let n = 2; metrics.has(key); n++) key = `${path}_${n}`
      metrics.set(key, value)
    }
    for (const [key, member] of inOrder(members)) {
      if (key === stepKey && (key === "step" || key === "_step")) continue
      put(key, member)
    }
    const step = stepKey === undefined ? undefined : members.get(stepKey)
    return { step: typeof step === "number" ? step : null, metrics }
  }

  const inOrder = (members: Members): Iterable<readonly [string, Json["value"]]> => members

  // ---------------------------------------------------------------------------
  // Lines
  // ---------------------------------------------------------------------------

  const record = (): { readonly text: string; readonly members: Members } => {
    const leading: Array<readonly [string, Json]> = chance(0.7) ? [["step", stepOf()]] : []
    const { text, value } = chance(0.5)
      ? flat(leading)
      : object(below(8), chance(0.3) ? 4 : 1, leading)
    return { text, members: value as Members }
  }

  /** What nearly every line of a real job is. */
  const flat = (leading: ReadonlyArray<readonly [string, Json]>): Json =>
    object(0, 0, [
      ...leading,
      ...["loss", "train/acc", "lr"].map((key): readonly [string, Json] => {
        const text = String(next())
        return [key, { text, value: Number(text) }]
      })
    ])

  const nested = (levels: number): string => `${`{"a":`.repeat(levels - 1)}{"b":1}${"}".repeat(levels - 1)}`

  const accepted = (): Line => {
    if (chance(0.002)) {
      return {
        _tag: "Accepted",
        raw: Buffer.from(nested(64)),
        step: null,
        metrics: new Map([[`${"a/".repeat(63)}b`, 1]])
      }
    }
    const { members, text } = record()
    const padded = `${chance(0.05) ? "  " : ""}${text}${chance(0.05) ? " " : ""}${chance(0.1) ? "\r" : ""}`
    return { _tag: "Accepted", raw: Buffer.from(padded), ...expected(members) }
  }

  const refused = (): Line => {
    const raw = pick<() => string | Buffer>([
      () => {
        // Torn: a proper part of an object never is one.
        const { text } = record()
        return text.slice(0, 1 + below(text.length - 1)) || "{"
      },
      () =>
        pick([
          "epoch 1 done",
          "Traceback (most recent call last):",
          "  File \"a.py\", line 3",
          "loss: 0.5",
          "100%|████| 5/5\r",
          "-"
        ]),
      () => pick(["[1,2]", "\"text\"", "3", "null", "true", "NaN", "[]"]),
      () =>
        pick([
          "{'a': 1}",
          "{\"a\":1,}",
          "{a: 1}",
          "{\"a\":undefined}",
          "{\"a\":nan}",
          "{\"a\":1}}",
          "{\"a\":1}{\"b\":2}",
          "{\"a\":01}",
          "{",
          "}"
        ]),
      () =>
        pick([
          "{\"a\":-NaN}",
          "{\"a\":1 /* c */}",
          "{\"a\":.5}",
          "{\"a\":+1}",
          "{\"a\":1.}",
          "{\"a\":0x10}",
          "{\"a\":\"\t\"}",
          "{\"a\":\"\0\"}"
        ]),
      () => nested(65),
      () => pick(["\0", "\0\0\0", "{\"a\":1}\0", "\0{\"a\":1}", "\u001b[0m"]),
      () => {
        const bytes = Buffer.from(`{"note":"some text here","loss":0.5}`)
        const at = 9 + below(10)
        const bad = pick([[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf8, 0x88, 0x80, 0x80], [0x80]])
        return Buffer.concat([bytes.subarray(0, at), Buffer.from(bad), bytes.subarray(at)])
      },
      () => Buffer.from([0xe9, 0x74, 0xe9, 0x0d])
    ])()
    return { _tag: "Refused", raw: Buffer.from(raw) }
  }

  return () => {
    const which = next()
    if (which < 0.8) return accepted()
    if (which < 0.97) return refused()
    return { _tag: "Blank", raw: Buffer.from(pick(["", "", " ", "\t", "\r", "  \r"])) }
  }
}
