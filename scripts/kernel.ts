/**
 * Compiles src/internal/kernel/assembly.ts to WebAssembly, and writes it to binary.ts beside it: `npm run kernel`. It is the
 * same text each time, so a test tells when it is old.
 */
import { main } from "assemblyscript/asc"
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const at = (name: string): string => fileURLToPath(new URL(`../src/internal/kernel/${name}`, import.meta.url))
const options = ["--enable", "simd", "--runtime", "stub", "--noAssert", "--converge", "-O3"]

export const compile = async (): Promise<string> => {
  let binary: Uint8Array | undefined
  const { error, stderr } = await main(["assembly.ts", ...options, "--outFile", "kernel.wasm"], {
    readFile: (name) => name === "assembly.ts" ? readFileSync(at(name), "utf8") : null,
    writeFile: (_, contents) => {
      if (typeof contents !== "string") binary = contents
    },
    listFiles: () => []
  })
  if (error !== null || binary === undefined) throw new Error(`The kernel could not be compiled: ${stderr.toString()}`)
  const lines = Buffer.from(binary).toString("base64").match(/.{1,110}/g) ?? []
  return [
    "/** Made of assembly.ts by `npm run kernel`. */",
    "export const binary = [",
    lines.map((line) => `  "${line}"`).join(",\n"),
    `].join("")`,
    ""
  ].join("\n")
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(at("binary.ts"), await compile())
