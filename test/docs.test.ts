/**
 * The examples in the documentation are programs, and run here: every `@example` in src, every ```ts block in README.md
 * and docs/. In scope are `assert` and `outdir`, a fresh directory. A block that is not to be run says ```ts no-run.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { afterAll } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))
// Not in node_modules: what lies there is not compiled on import.
const folder = join(root, ".cache", "documentation")
const outputs = mkdtempSync(join(tmpdir(), "ezpz-stream-docs-"))

interface Example {
  readonly file: string
  readonly name: string
  readonly code: string
}

// -----------------------------------------------------------------------------
// Finding examples
// -----------------------------------------------------------------------------

const fence = /^```ts$\n([\s\S]*?)^```$/gm

const inSource = (file: string): Array<Example> => {
  const text = readFileSync(join(root, file), "utf8")
  const comments =
    /^ *\/\*\*\n([\s\S]*?)^ *\*\/\n(?:export )?(?:declare )?(?:const|class|interface|type|function|async function)? *([\w$]*)/gm
  return [...text.matchAll(comments)].flatMap(([, comment = "", symbol = ""]) => {
    const [, ...examples] = comment.replaceAll(/^ *\* ?/gm, "").split(/^@example.*$/m)
    const blocks = examples.flatMap((example) => [...(example.split(/^@/m)[0] ?? "").matchAll(fence)])
    return numbered(file, symbol || "module", blocks.map(([, code = ""]) => code))
  })
}

const inPage = (file: string): Array<Example> => {
  const text = readFileSync(join(root, file), "utf8")
  return text.split(/^(?=#{1,4} )/m).flatMap((section) => {
    const [, title = "start"] = /^#{1,4} (.*)/.exec(section) ?? []
    return numbered(file, title, [...section.matchAll(fence)].map(([, code = ""]) => code))
  })
}

const numbered = (file: string, name: string, codes: ReadonlyArray<string>): Array<Example> =>
  codes.map((code, i) => ({ file, name: codes.length > 1 ? `${name} (${i + 1})` : name, code }))

const markdown = ["README.md", "CHANGELOG.md", ...globSync("docs/*.md", { cwd: root }).sort()]
const sources = globSync("src/**/*.ts", { cwd: root }).sort().flatMap(inSource)
const pages = markdown.flatMap(inPage)

// -----------------------------------------------------------------------------
// Writing them as modules
// -----------------------------------------------------------------------------

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })

const modules = [...sources, ...pages].map((example, i) => {
  const path = join(folder, `${String(i).padStart(3, "0")}-${example.name.replaceAll(/\W+/g, "-")}.ts`)
  const from = (module: string): string => `from ${JSON.stringify(relative(folder, join(root, "src", `${module}.ts`)))}`
  const code = example.code
    .replaceAll(/from "ezpz-stream"/g, from("index"))
    .replaceAll(/from "ezpz-stream\/async"/g, from("async"))
  writeFileSync(
    path,
    `import { assert } from "@effect/vitest"\nconst outdir: string = ${JSON.stringify(join(outputs, String(i)))}\n` +
      `void assert, outdir\n${code}\nexport {}\n`
  )
  return { ...example, path }
})

afterAll(() => rmSync(outputs, { recursive: true, force: true }))

// -----------------------------------------------------------------------------
// Running them
// -----------------------------------------------------------------------------

describe.each([...new Set(modules.map(({ file }) => file))])("%s", (file) => {
  for (const { name, path } of modules.filter((module) => module.file === file)) {
    it(name, async () => {
      await import(/* @vite-ignore */ pathToFileURL(path).href)
    })
  }
})

it("every example passes the compiler", () => {
  const project = join(folder, "tsconfig.json")
  const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false }
  writeFileSync(project, JSON.stringify({ extends: "../../tsconfig.json", include: ["*.ts"], compilerOptions }))
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", project, "--pretty", "false"], {
    cwd: folder,
    encoding: "utf8"
  })
  // What is wrong with src is for another check to say.
  assert.deepStrictEqual(stdout.split("\n").filter((line) => /^\d{3}-.*error/.test(line)), [])
})

it("the library's main functions have an example beside them", () => {
  for (const call of ["History.make(", "History.track(", "Backend.make(", "track(training()"]) {
    assert.isTrue(sources.some(({ code }) => code.includes(call)), `${call} has no example in src, or it was not found`)
  }
})

it("the options in README.md are those of the command line", () => {
  const { stdout } = spawnSync(process.execPath, [join(root, "dist", "cli", "main.js"), "--help"], { encoding: "utf8" })
  const flags = (text: string): Array<string> => [...new Set(text.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [])].sort()
  const [, offered = ""] = /^FLAGS\n([\s\S]*?)^GLOBAL/m.exec(stdout) ?? []
  const table = readFileSync(join(root, "README.md"), "utf8").split("\n").filter((line) => line.startsWith("| `--"))
  assert.isAbove(flags(offered).length, 15, stdout)
  assert.deepStrictEqual(flags(table.join("\n")), flags(offered))
})

it("every link to a file leads to one", () => {
  for (const page of markdown) {
    const text = readFileSync(join(root, page), "utf8").replaceAll(fence, "")
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)) {
      assert.isTrue(existsSync(join(root, dirname(page), target)), `${page} links to ${target}`)
    }
  }
})
