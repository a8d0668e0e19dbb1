#!/usr/bin/env node
/**
 * Where the process starts: sees that this Node is new enough, and keeps compiled code for the next start.
 */
import Module from "node:module"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`ezpz-stream needs Node 22.19 or newer; this is ${process.version} (${process.execPath}).\n`)
  process.exit(1)
}
Module.enableCompileCache()
// A process that each rank may start: it waits for no command line.
if (process.argv[2] === "nccl-bridge") {
  const { main } = await import("./ncclBridge.ts")
  process.exit(await main())
}
await import("./main.ts")
