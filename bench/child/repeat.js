// Writes the records of a file again and again to stdout, their steps going on rising. `node repeat.js FILE TIMES`
import { once } from "node:events"
import { readFileSync } from "node:fs"

const [file, times] = process.argv.slice(2)
const bodies = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => line.slice(line.indexOf(",")))
let step = 0
for (let time = 0; time < Number(times); time++) {
  for (let from = 0; from < bodies.length; from += 64) {
    let text = ""
    for (const body of bodies.slice(from, from + 64)) text += `{"step": ${step++}${body}\n`
    if (!process.stdout.write(text)) await once(process.stdout, "drain")
  }
}
