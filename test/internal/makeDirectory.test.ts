import { assert, describe, it, onTestFinished } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { makeDirectory } from "../../src/internal/makeDirectory.ts"

const temporary = (): string => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "ezpz-directory-"))
  onTestFinished(() => Fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** The code and path of the error that making a directory ends with. */
const failureOf = (path: string): readonly [code: unknown, path: unknown] | undefined => {
  try {
    makeDirectory(path)
    return undefined
  } catch (error) {
    assert(error instanceof Error && "code" in error && "path" in error)
    return [error.code, error.path]
  }
}

const module = fileURLToPath(new URL("../../src/internal/makeDirectory.ts", import.meta.url))

describe("makeDirectory", () => {
  it("makes every level that is not there", () => {
    const path = Path.join(temporary(), ...Array.from({ length: 30 }, (_, i) => `level${i}`))
    makeDirectory(path)
    assert.isTrue(Fs.statSync(path).isDirectory())
  })

  it("leaves a directory as it is, also behind a link, and the root", () => {
    const directory = temporary()
    Fs.writeFileSync(Path.join(directory, "file"), "here")
    Fs.symlinkSync(directory, Path.join(directory, "link"))
    for (const path of [directory, `${directory}/`, Path.join(directory, "link"), "/", "."]) makeDirectory(path)
    makeDirectory(Path.join(directory, "link", "below"))
    assert.deepStrictEqual(Fs.readdirSync(directory).sort(), ["below", "file", "link"])
    assert.strictEqual(Fs.readFileSync(Path.join(directory, "file"), "utf8"), "here")
  })

  it("a file in the way is the system's error, with the path", () => {
    const file = Path.join(temporary(), "file")
    Fs.writeFileSync(file, "here")
    assert.deepStrictEqual(failureOf(file), ["EEXIST", file])
    assert.deepStrictEqual(failureOf(Path.join(file, "a")), ["ENOTDIR", Path.join(file, "a")])
    assert.deepStrictEqual(failureOf(Path.join(file, "a", "b")), ["ENOTDIR", Path.join(file, "a")])
    assert.strictEqual(Fs.readFileSync(file, "utf8"), "here")
  })

  it("a link to nothing is an error", () => {
    const link = Path.join(temporary(), "link")
    Fs.symlinkSync("nowhere", link)
    assert.deepStrictEqual(failureOf(link), ["EEXIST", link])
  })

  it.skipIf(process.platform !== "linux")("ends where a directory takes no other in it", () => {
    assert.deepStrictEqual(failureOf("/proc/nope"), ["ENOENT", "/proc/nope"])
    assert.deepStrictEqual(failureOf("/proc/nope/x/y"), ["ENOENT", "/proc/nope"])
  })

  it("several processes may make the same at once", async () => {
    const directory = temporary()
    const paths = Array.from({ length: 200 }, (_, i) => Path.join(directory, `${i}`, "a", "b", "c"))
    const script = `
      import { makeDirectory } from ${JSON.stringify(module)}
      for (const path of ${JSON.stringify(paths)}) makeDirectory(path)`
    const make = (): Promise<unknown> =>
      promisify(execFile)(process.execPath, ["--input-type=module", "--no-warnings", "--eval", script])
    await Promise.all([make(), make(), make()])
    assert.deepStrictEqual(paths.filter((path) => !Fs.existsSync(path)), [])
  })
})
