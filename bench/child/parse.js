// The bare loop: reads a file and calls JSON.parse on every line, and nothing else. `node parse.js FILE`
import { openSync, readSync } from "node:fs"

const fd = openSync(process.argv[2], "r")
const buffer = Buffer.allocUnsafe(1024 * 1024)
let kept = 0
let lines = 0
while (true) {
  const read = readSync(fd, buffer, kept, buffer.length - kept, null)
  if (read === 0) break
  const length = kept + read
  const end = buffer.lastIndexOf(0x0a, length - 1)
  for (const line of buffer.toString("utf8", 0, end).split("\n")) {
    JSON.parse(line)
    lines++
  }
  kept = buffer.copy(buffer, 0, end + 1, length)
}
process.stdout.write(`${lines}\n`)
