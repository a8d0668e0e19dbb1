/**
 * The same without Effect: async iterables, `for await`, and the operators of ix.
 *
 *     node examples/async.ts [OUTDIR]
 */
import { make, track } from "ezpz-stream/async"
import { from } from "ix/asynciterable"
import { filter, map, take } from "ix/asynciterable/operators"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))

/** Estimates pi by throwing darts. */
async function* darts() {
  let inside = 0
  for (let step = 1;; step++) {
    for (let i = 0; i < 1000; i++) inside += Math.random() ** 2 + Math.random() ** 2 < 1 ? 1 : 0
    const pi = (4 * inside) / (1000 * step)
    yield { step, pi, error: Math.abs(pi - Math.PI) }
  }
}

// An iterable in, an iterable out: every record comes out again once it is in the log. When it ends, the run is folded.
const first = join(outdir, "for-await")
for await (const { summary } of track(from(darts()).pipe(take(5)), { outdir: first })) console.log(summary)
console.log(`outputs: ${first}\n`)

// `track` is an operator, too.
const second = join(outdir, "operators")
const lines = from(darts()).pipe(
  take(200),
  track({ outdir: second, projectName: "darts", backends: "csv" }),
  filter(({ step = 0 }) => step % 50 === 0),
  map(({ step, summary }) => `${step === 200 ? "last: " : ""}${summary}`)
)
for await (const line of lines) console.log(line)
console.log(`outputs: ${second}\n`)

// And for a loop that is no iterable. Where the syntax is known: `await using history = await make(...)`.
const history = await make({ outdir: join(outdir, "loop") })
try {
  for (let step = 1; step <= 3; step++) console.log(history.update({ loss: Math.exp(-step) }, { step }))
  const { dataset, directory } = await history.finalize({ plots: false })
  console.log(`${dataset?.draws} draws in ${directory}`)
} finally {
  await history.close()
}
