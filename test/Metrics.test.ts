import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Metrics from "../src/Metrics.ts"
import * as RunLog from "../src/RunLog.ts"

// -----------------------------------------------------------------------------
// A model: what a line means, worked out slowly and without JSON.parse
// -----------------------------------------------------------------------------

type Node =
  | { readonly kind: "number"; readonly source: string }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "other"; readonly value: boolean | null }
  | { readonly kind: "array"; readonly items: ReadonlyArray<Node> }
  | { readonly kind: "object"; readonly members: { readonly [key: string]: Node } }

const invalid = Symbol("invalid")

/** Strict JSON, and the words Python's json writes for what is not finite. */
const parse = (text: string): Node => {
  let at = 0
  const space = () => {
    while (" \t\n\r".includes(text[at] ?? "x")) at++
  }
  const take = (pattern: RegExp): string | undefined => {
    const sticky = new RegExp(pattern.source, "y")
    sticky.lastIndex = at
    const match = sticky.exec(text)
    if (match === null) return undefined
    at = sticky.lastIndex
    return match[0]
  }
  const expect = (char: string) => {
    if (text[at] !== char) throw invalid
    at++
  }
  const string = (): string => {
    expect("\"")
    let value = ""
    for (;;) {
      const char = text[at++]
      if (char === undefined || char < " ") throw invalid
      if (char === "\"") return value
      if (char !== "\\") {
        value += char
        continue
      }
      const escape = text[at++] ?? ""
      const plain = new Map([
        ["n", "\n"],
        ["t", "\t"],
        ["r", "\r"],
        ["b", "\b"],
        ["f", "\f"],
        ["/", "/"],
        ["\\", "\\"],
        [
          "\"",
          "\""
        ]
      ]).get(escape)
      if (plain !== undefined) value += plain
      else if (escape === "u") {
        const code = take(/[0-9a-fA-F]{4}/)
        if (code === undefined) throw invalid
        value += String.fromCharCode(Number.parseInt(code, 16))
      } else throw invalid
    }
  }
  const value = (): Node => {
    space()
    const char = text[at]
    if (char === "\"") return { kind: "string", value: string() }
    if (char === "[") {
      const items: Array<Node> = []
      at++
      space()
      if (text[at] === "]") at++
      else {
        for (;;) {
          items.push(value())
          space()
          if (text[at] === "]") break
          expect(",")
        }
        at++
      }
      return { kind: "array", items }
    }
    if (char === "{") {
      const members = {}
      at++
      space()
      if (text[at] === "}") at++
      else {
        for (;;) {
          space()
          const key = string()
          space()
          expect(":")
          define(members, key, value())
          space()
          if (text[at] === "}") break
          expect(",")
        }
        at++
      }
      return { kind: "object", members }
    }
    const word = take(/true|false|null/)
    if (word !== undefined) return { kind: "other", value: word === "null" ? null : word === "true" }
    const source = take(/NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/)
    if (source === undefined) throw invalid
    return { kind: "number", source }
  }
  const node = value()
  space()
  if (at !== text.length) throw invalid
  return node
}

const define = (object: object, key: string, value: unknown): void => {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
}

interface Expected {
  readonly step: number | undefined
  readonly stepKey: string | undefined
  readonly metrics: Record<string, unknown>
  readonly digits: ReadonlyArray<string>
}

/** Undefined: the line is refused. */
const model = (line: string, stepKey?: string): Expected | undefined => {
  let node: Node
  try {
    node = parse(line.trim())
  } catch (error) {
    if (error === invalid) return undefined
    throw error
  }
  if (node.kind !== "object" || depth(node) > Metrics.maxDepth) return undefined
  const metrics: Record<string, unknown> = {}
  const digits: Array<string> = []
  const stepNames = [...(stepKey === undefined ? [] : [stepKey]), "step", "_step", "global_step", "iteration", "iter"]
  const found = stepNames.find((name) => {
    const member = Object.hasOwn(node.members, name) ? node.members[name] : undefined
    return member?.kind === "number" && Number.isFinite(Number(member.source))
  })
  const put = (path: string, value: unknown) => {
    let key = path
    for (let n = 2; Object.hasOwn(metrics, key); n++) key = `${path}_${n}`
    define(metrics, key, value)
  }
  const visit = (path: string, member: Node) => {
    if (member.kind === "object") {
      for (const [key, inner] of Object.entries(member.members)) visit(`${path}/${key}`, inner)
    } else if (member.kind === "array") put(path, numbers(member.items) ?? new Text(plain(member)))
    else {
      if (member.kind === "number" && /^-?\d+$/.test(member.source) && Number.isFinite(Number(member.source))) {
        digits.push(member.source)
      }
      put(path, scalar(member))
    }
  }
  for (const [key, member] of Object.entries(node.members)) {
    if (key !== found || (key !== "step" && key !== "_step")) visit(key, member)
  }
  const step = found === undefined ? undefined : Number(scalar(node.members[found]!)) + 0
  return { step, stepKey: found, metrics, digits }
}

class Text {
  readonly value: unknown
  constructor(value: unknown) {
    this.value = value
  }
}

const depth = (node: Node): number =>
  node.kind === "array"
    ? 1 + Math.max(0, ...node.items.map(depth))
    : node.kind === "object"
    ? 1 + Math.max(0, ...Object.values(node.members).map(depth))
    : 0

const words: ReadonlyMap<string, number> = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]])

const scalar = (node: Node): unknown =>
  node.kind === "number"
    ? Number(node.source)
    : node.kind === "string"
    ? words.get(node.value) ?? node.value
    : node.kind === "other"
    ? node.value
    : undefined

const numbers = (items: ReadonlyArray<Node>): ReadonlyArray<unknown> | undefined => {
  if (items.length > 0 && items.every((item) => item.kind === "array")) {
    const rows = items.map((item) => item.kind === "array" ? list(item.items) : undefined)
    return rows.every((row) => row !== undefined) ? rows : undefined
  }
  return list(items)
}

const list = (items: ReadonlyArray<Node>): ReadonlyArray<unknown> | undefined => {
  const values = items.map((item) => {
    const value = scalar(item)
    return value === null ? NaN : value
  })
  return values.every((value) => typeof value === "number") ? values : undefined
}

/** A value as JSON can say it. */
const plain = (node: Node): unknown => {
  if (node.kind === "array") return node.items.map(plain)
  if (node.kind !== "object") {
    const value = scalar(node)
    return typeof value === "number" && !Number.isFinite(value) ? String(value) : value
  }
  const object = {}
  for (const [key, member] of Object.entries(node.members)) define(object, key, plain(member))
  return object
}

/** Checks one line against the model, and against its way through the log. */
const check = (line: string, stepKey?: string): boolean => {
  const expected = model(line, stepKey)
  const record = Metrics.decodeLine(line, stepKey)
  if (expected === undefined) {
    assert.strictEqual(record._tag, "Refused", JSON.stringify(line))
    return false
  }
  if (record._tag === "Refused") throw new Error(`refused (${record.reason}): ${JSON.stringify(line)}`)
  assert.deepStrictEqual([record.step, record.stepKey], [expected.step, expected.stepKey], JSON.stringify(line))
  const metrics: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(record.metrics)) {
    const wanted = expected.metrics[key]
    define(metrics, key, wanted instanceof Text && typeof value === "string" ? new Text(JSON.parse(value)) : value)
  }
  assert.deepStrictEqual(metrics, expected.metrics, JSON.stringify(line))
  assert.isTrue(Object.keys(metrics).every((key) => key in expected.metrics))
  for (const digits of expected.digits) assert.include(record.text, digits)
  replays(record)
  return true
}

/** What is in the log is what was live. */
const replays = (record: Metrics.Decoded): void => {
  const bytes = Buffer.from(RunLog.recordLine(1, record.step, 0, 0, record.text))
  assert.strictEqual(bytes.indexOf(0x0a), bytes.length - 1)
  const entry = RunLog.decodeLine(bytes.toString("utf8").slice(0, -1))
  if ("_tag" in entry) throw new Error(`${entry.reason}: ${record.text}`)
  assert.deepStrictEqual([entry.step, entry.metrics], [record.step, record.metrics])
  assert.deepStrictEqual(Object.keys(JSON.parse(record.text)), Object.keys(record.metrics))
}

// -----------------------------------------------------------------------------
// Lines that mean harm, or nearly
// -----------------------------------------------------------------------------

const keys = [
  "step",
  "\\u0073tep",
  "_step",
  "global_step",
  "iteration",
  "iter",
  "",
  "a",
  "a/b",
  "a/b_2",
  "b",
  "a//b",
  "/",
  "1",
  "0",
  "../../etc/passwd",
  "__proto__",
  "constructor",
  "toJSON",
  "hasOwnProperty",
  "\\ud800",
  "\\udc00\\ud800",
  "\ud800",
  "\\u0000",
  "é",
  "😀",
  "NaN",
  "Infinity",
  "x\\\"step\\\":1",
  ",",
  "}",
  "]",
  "k".repeat(300),
  "{",
  " "
]
const scalars = [
  "0",
  "-0",
  "1",
  "3",
  "-1.5",
  "1e5",
  "1E-5",
  "0.1",
  "1e400",
  "-1e400",
  "9007199254740993",
  "-123456789012345678901234567890",
  "9".repeat(400),
  "1e22",
  "1.0",
  "12345678901234567.5",
  "5e-324",
  "NaN",
  "Infinity",
  "-Infinity",
  "\"NaN\"",
  "\"-Infinity\"",
  "\"Infinity\"",
  "\"nan\"",
  "\"\"",
  "\"x,\"",
  "\"step\"",
  "\"\\ud800\"",
  "\"\ud800\"",
  "\"\\u0000\"",
  "\"\u2028\"",
  "\"\\\"\"",
  "\"{\"",
  "\"NaN and Infinity\"",
  "\"C:\\\\\"",
  "true",
  "false",
  "null",
  "\"\\n\""
]
const torn = [
  "",
  "01",
  "+1",
  ".5",
  "1.",
  "-",
  "nan",
  "-NaN",
  "'x'",
  "tru",
  "\"a\nb\"",
  "\"\\x\"",
  "\"",
  "undefined",
  "NaN1"
]

const spaces = fc.constantFrom("", "", "", "", " ", "\t", "  ", "\r", "\n", "\u00a0")
const bracket = (items: ReadonlyArray<string>): string => `[${items.join(", ")}]`

const objectText = (value: fc.Arbitrary<string>): fc.Arbitrary<string> => {
  const member = fc.tuple(spaces, fc.constantFrom(...keys), spaces, spaces, value, spaces)
    .map(([a, key, b, c, text, d]) => `${a}"${key}"${b}:${c}${text}${d}`)
  return fc.tuple(
    fc.array(member, { maxLength: 6 }),
    fc.constantFrom(",", ",", ",", ",", ",", ",", ",,", ";", ", "),
    fc.constantFrom("", "", "", "", "", "", ","),
    fc.constantFrom("", "", "", "", "", "", "", "]", "}", " ", "x")
  ).map(([members, comma, trailing, end]) => `{${members.join(comma)}${trailing}}${end}`)
}

const valueText: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 12, arbitrary: fc.constantFrom(...scalars) },
    { weight: 3, arbitrary: fc.double().map((number) => Object.is(number, -0) ? "-0" : String(number)) },
    { weight: 1, arbitrary: fc.constantFrom(...torn) },
    {
      weight: 2,
      arbitrary: fc.array(fc.constantFrom("1", "2.5", "NaN", "\"NaN\"", "null", "1e400"), { maxLength: 4 }).map(bracket)
    },
    { weight: 2, arbitrary: fc.array(tie("value"), { maxLength: 3 }).map(bracket) },
    { weight: 2, arbitrary: objectText(tie("value")) }
  )
})).value

const line = fc.tuple(spaces, objectText(valueText), spaces).map((parts) => parts.join(""))

/** Numbers that look random and are the same in every run (Marsaglia's xorshift). */
const xorshift = (seed: number) => () => {
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  return (seed >>> 0) / 2 ** 32
}

describe("decodeLine", () => {
  it("says of any line what a slow, separate reading of it says, and the log keeps just that", () => {
    let accepted = 0
    fc.assert(
      fc.property(line, fc.constantFrom(undefined, undefined, "a", "step", "\ud800", "__proto__"), (text, stepKey) => {
        if (check(text, stepKey)) accepted++
      }),
      { numRuns: 6000, seed: 20261123 }
    )
    assert.isAbove(accepted, 1000)
  })

  it("takes the step out of any place, however it is spaced, and leaves the text as it was", () => {
    for (
      const [text, left, step] of [
        [`{"step":1,"a":2.50}`, `{"a":2.50}`, 1],
        [`{"a":2.50,"step":1}`, `{"a":2.50}`, 1],
        [`{ "a" : 2.50 , "step" : 1 , "b" : 1e4 }`, `{ "a" : 2.50 ,"b" : 1e4 }`, 1],
        [`{"a":[1,2],"step":-1.5e2,"b":[3]}`, `{"a":[1,2],"b":[3]}`, -150],
        [`{"step":7}`, `{}`, 7],
        [`{"step":-0,"a":1}`, `{"a":1}`, 0]
      ] as const
    ) {
      const record = Metrics.decodeLine(text)
      assert.isTrue(check(text))
      assert.deepInclude(record, { text: left, step, stepKey: "step" })
    }
  })

  it("is not talked into a record by a step inside a string, an array, or behind a bare key", () => {
    for (
      const text of [
        `{"a":"x,"step":1,"}`,
        `{"a":"x,"step":1}"}`,
        `{"a":[1,"step":2,"NaN"]}`,
        `{"a":[1,"step":2]}`,
        `{"a":1,\u00a0"step":2}`,
        `{,"step":1}`,
        `{"step":1,}`,
        `{"a":1 "step":2}`,
        `{"step":01}`,
        `{NaN:1}`,
        `{"a":NaN,Infinity :1}`,
        `{"a":1}{"step":1}`
      ]
    ) {
      assert.isFalse(check(text), text)
    }
    assert.deepInclude(Metrics.decodeLine(`{"\\u0073tep":5,"step":1}`), { step: 1, text: "{}" })
    assert.deepInclude(Metrics.decodeLine(`{"step":1,"\\u0073tep":5}`), { step: 5, text: "{}" })
    assert.deepInclude(Metrics.decodeLine(`{"a":",\\"step\\":1","b":1}`), { step: undefined })
  })

  it("takes a step beyond 2^53 for the nearest double, whether or not another value nests", () => {
    for (const text of [`{"step":12345678901234567890,"a":1}`, `{"step":12345678901234567890,"a":{"b":1}}`]) {
      assert.isTrue(check(text))
      assert.deepInclude(Metrics.decodeLine(text), { step: 12345678901234567000 })
    }
  })

  it("keeps the digits of long integers in its text, in arrays too", () => {
    for (
      const [text, expected] of [
        [`{"n":9007199254740993}`, `{"n":9007199254740993}`],
        [`{"n":{"m":9007199254740993}}`, `{"n/m":9007199254740993}`],
        [
          `{"n":[9007199254740993,-9007199254740995],"m":{"k":1}}`,
          `{"n":[9007199254740993,-9007199254740995],"m/k":1}`
        ],
        [`{"n":[9007199254740993,"a"]}`, `{"n":"[9007199254740993,\\"a\\"]"}`]
      ] as const
    ) {
      const record = Metrics.decodeLine(text)
      assert.deepInclude(record, { text: expected })
    }
  })

  it("never throws: 20,000 damaged lines are each refused, or read as the model reads them", () => {
    const random = xorshift(20261123)
    const pick = <A>(items: ReadonlyArray<A>): A => items[Math.floor(random() * items.length)]!
    const sources = [
      `{"step": 1, "loss": 0.5, "lr": 1e-4}`,
      `{"iteration": 19, "AP": NaN, "ap50": -Infinity, "tags": ["a", "b"], "h": [1, 2, null]}`,
      `{"train": {"loss": 0.5, "acc": [0.5, "NaN"]}, "_step": 12345678901234567890, "s": "x\\u0041\\"y"}`,
      `{"a,":"b,","step":3,"c":"}","d":[[1,2],[3,4]],"e":true,"f":null}`
    ]
    const alphabet = [
      ..."{}[]:,\"\\ \t\r-+.eE0123456789NaInfityu",
      "\u0000",
      "\ud800",
      "é",
      "\"step\":1,",
      ",\"step\":2",
      "NaN"
    ]
    let accepted = 0
    for (let run = 0; run < 20_000; run++) {
      let text = pick(sources)
      for (let n = 1 + Math.floor(random() * 4); n > 0; n--) {
        const at = Math.floor(random() * (text.length + 1))
        const kind = random()
        text = kind < 0.4
          ? text.slice(0, at) + text.slice(at + 1 + Math.floor(random() * 3))
          : kind < 0.8
          ? text.slice(0, at) + pick(alphabet) + text.slice(at)
          : text.slice(0, at) + pick(sources).slice(Math.floor(random() * 30))
      }
      if (check(text)) accepted++
    }
    assert.isAbove(accepted, 500)
  })

  it("refuses what is no object, and says what it is", () => {
    for (const text of ["", "   ", "epoch 1 done", "{", "{\"a\":", "NaN", "{'a': 1}", "\u0000", "{\"a\":nan}"]) {
      assert.deepStrictEqual(Metrics.decodeLine(text), { _tag: "Refused", reason: "not JSON" })
    }
    for (const text of ["1", "[1,2]", "null", "\"x\"", "[{\"a\":1}]"]) {
      assert.deepStrictEqual(Metrics.decodeLine(text), { _tag: "Refused", reason: "JSON, but not an object" })
    }
  })

  it("takes 64 levels and refuses 65, of objects and of arrays", () => {
    const objects = (levels: number) => `${"{\"a\":".repeat(levels)}1${"}".repeat(levels)}`
    const arrays = (levels: number) => `{"a":${"[".repeat(levels - 1)}1${"]".repeat(levels - 1)}}`
    for (const nested of [objects, arrays]) {
      assert.isTrue(check(nested(64)))
      assert.deepStrictEqual(Metrics.decodeLine(nested(65)), {
        _tag: "Refused",
        reason: "nested deeper than 64 levels"
      })
      for (
        const text of [
          nested(100_000),
          nested(100_000).replace("1", "12345678901234567890"),
          nested(100_000).replace("1", "NaN")
        ]
      ) {
        assert.deepStrictEqual(Metrics.decodeLine(text), { _tag: "Refused", reason: "nested deeper than 64 levels" })
      }
    }
    for (
      const text of ["[".repeat(1_000_000), "{\"a\":".repeat(100_000), `${"[".repeat(100_000)}${"]".repeat(100_000)}`]
    ) {
      assert.strictEqual(Metrics.decodeLine(text)._tag, "Refused")
    }
  })

  it("survives a line of 50 MB: of one string, of one number, of many values, of nothing", () => {
    const size = 50_000_000
    const items = 2_000_000
    const long = Metrics.decodeLine(`{"a":"${"x".repeat(size)}","b":{"c":1}}`)
    assert.strictEqual(long._tag === "Decoded" && String(long.metrics["a"]).length, size)
    assert.deepInclude(Metrics.decodeLine(`{"a":${"9".repeat(size)}}`), { text: `{"a":"Infinity"}` })
    const many = Metrics.decodeLine(`{"a":[${"0.25,".repeat(items)}1e400]}`)
    assert.strictEqual(
      many._tag === "Decoded" && Array.isArray(many.metrics["a"]) && many.metrics["a"].length,
      items + 1
    )
    assert.strictEqual(Metrics.decodeLine("x".repeat(size))._tag, "Refused")
    assert.strictEqual(Metrics.decodeLine(`{"a":"${"x".repeat(size)}`)._tag, "Refused")
  })

  it("refuses a record whose keys multiply beyond what the log can read", () => {
    const text = `{"${"k".repeat(1_000_000)}":{${Array.from({ length: 200 }, (_, i) => `"${i}":1`).join(",")}}}`
    assert.deepStrictEqual(Metrics.decodeLine(text), { _tag: "Refused", reason: "too long once it is flattened" })
  })

  it("takes 20,000 keys", () => {
    const members = Array.from({ length: 20_000 }, (_, i) => `"group${i % 7}/key${i}":${i}`)
    const record = Metrics.decodeLine(`{${members.join(",")}}`)
    assert.strictEqual(record._tag === "Decoded" && Object.keys(record.metrics).length, 20_000)
  })

  it("lets nobody at a prototype", () => {
    for (
      const text of [
        `{"__proto__":{"polluted":1},"a":1}`,
        `{"__proto__":1}`,
        `{"__proto__":NaN}`,
        `{"__proto__":[1,2]}`,
        `{"constructor":{"prototype":{"polluted":1}}}`,
        `{"a":{"__proto__":{"polluted":[{"x":1}]}}}`
      ]
    ) {
      assert.isTrue(check(text), text)
      const record = Metrics.decodeLine(text)
      if (record._tag === "Refused") continue
      assert.strictEqual(Object.getPrototypeOf(record.metrics), Object.prototype)
      assert.isUndefined(Object.getOwnPropertyDescriptor(Object.prototype, "polluted"))
      const again = Metrics.decode(record.metrics)
      assert.deepStrictEqual(again._tag === "Decoded" && again.metrics, record.metrics)
    }
  })

  it("gives a text that stays one line, whatever string it was given", () => {
    const record = Metrics.decodeLine(`\u00a0{"a":\n1,"b":"\ud800"}\u2028`)
    assert.deepInclude(record, { text: `{"a":1,"b":"\\ud800"}`, metrics: { a: 1, b: "\ud800" } })
  })
})

describe("decode", () => {
  it("says of any object what decodeLine says of its JSON", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("a", "b/c", "step", "iter", "__proto__", "1", "é"), fc.jsonValue()),
        (given) => {
          // JSON.stringify drops the sign of zero, decode does not.
          const object: Metrics.Input = JSON.parse(JSON.stringify(given))
          const record = Metrics.decode(object)
          const line = Metrics.decodeLine(JSON.stringify(object))
          if (record._tag === "Refused" || line._tag === "Refused") assert.strictEqual(record._tag, line._tag)
          else {
            assert.deepStrictEqual([record.step, record.metrics], [line.step, line.metrics])
            replays(record)
          }
        }
      ),
      { numRuns: 2000, seed: 1 }
    )
  })

  it("keeps non-finite numbers, the sign of zero, bigints and typed arrays", () => {
    const record = Metrics.decode({
      nan: NaN,
      inf: -Infinity,
      zero: -0,
      big: 123456789012345678901234567890n,
      huge: 10n ** 400n,
      absent: undefined,
      f32: Float32Array.of(0.5, NaN),
      f64: [[1, -0], [Infinity]],
      text: "NaN"
    })
    assert.strictEqual(record._tag, "Decoded")
    if (record._tag === "Refused") return
    assert.strictEqual(
      record.text,
      `{"nan":"NaN","inf":"-Infinity","zero":-0.0,"big":123456789012345678901234567890,"huge":"Infinity","absent":null,` +
        `"f32":[0.5,"NaN"],"f64":[[1,-0.0],["Infinity"]],"text":"NaN"}`
    )
    assert.deepStrictEqual(record.metrics["zero"], -0)
    assert.deepStrictEqual(record.metrics["text"], NaN)
    replays(record)
  })

  it("is a copy: an object that is used again for the next step changes nothing", () => {
    for (const input of [{ loss: 1 }, { loss: 1, iter: 2 }, { loss: 1, step: 2 }, { loss: 1, h: [1] }]) {
      const record = Metrics.decode(input)
      input.loss = 2
      assert.strictEqual(record._tag === "Decoded" && record.metrics["loss"], 1)
    }
  })

  it("tells of what did not stay as it came", () => {
    const notes = (input: string) => {
      const record = Metrics.decodeLine(input)
      return record._tag === "Decoded" ? record.notes : [record.reason]
    }
    assert.deepStrictEqual(notes(`{"a":{"b":1},"a/b":2}`), [
      `"a/b" occurs twice once flattened; the second is kept as "a/b_2"`
    ])
    assert.deepStrictEqual(notes(`{"a":["x"]}`), [`"a" is an array that does not hold numbers; it is kept as text`])
    assert.deepStrictEqual(notes(`{"a":{},"b":1}`), [`"a" is an object without members; nothing of it is kept`])
    assert.deepStrictEqual(notes(`{"a":{"b":1},"c":[1]}`), [])
  })

  it("does not follow a circle", () => {
    const circle: Record<string, unknown> = { a: 1 }
    circle["self"] = circle
    const ring: Array<unknown> = []
    ring.push(ring)
    for (const input of [circle, { ring }]) {
      assert.deepStrictEqual(Metrics.decode(input as Metrics.Input), {
        _tag: "Refused",
        reason: "nested deeper than 64 levels"
      })
    }
  })
})

describe("keys", () => {
  it("belong to the group before their first slash", () => {
    const groups = ["train/loss", "loss", "/x", "a//b", "", "../../etc/passwd"].map(Metrics.group)
    assert.deepStrictEqual(groups, ["train", "", "", "a", "", ".."])
    assert.deepStrictEqual(["train/loss", "loss", "/x", "a//b"].map(Metrics.withoutGroup), ["loss", "loss", "/x", "/b"])
    assert.deepStrictEqual(["train/time/dt", "dt", "a/"].map(Metrics.leaf), ["dt", "dt", ""])
  })
})
