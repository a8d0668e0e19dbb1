/** Runs in a browser: how long until there is something to see. */
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Browser, chromium, type Page } from "playwright-core"
import { logged, narrowKeys, steady, write } from "../data.ts"
import { command, type Context, environment, quantile, spread } from "../measure.ts"
import { atMost, count, type Findings, megabytes, seconds, times } from "../report.ts"
import { runInfo } from "./runInfo.ts"

const chromiumPath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

// -----------------------------------------------------------------------------
// Server and page
// -----------------------------------------------------------------------------

interface Serving {
  readonly address: string
  readonly peak: () => number
  readonly end: () => Promise<void>
}

/** Those that run: whatever goes wrong, none is left behind. */
const servers = new Set<ChildProcess>()

const serve = (root: string): Promise<Serving> =>
  new Promise((resolve, reject) => {
    const server = spawn(process.execPath, [command, "serve", "--port", "0", root], {
      env: environment,
      stdio: ["ignore", "pipe", "ignore"]
    })
    servers.add(server)
    const ended = new Promise<void>((done) => server.once("exit", () => done()))
    void ended.then(() => reject(new Error("the server has ended")))
    server.stdout.setEncoding("utf8").once("data", (line: string) =>
      resolve({
        address: line.trim(),
        peak: () => {
          const status = readFileSync(`/proc/${server.pid}/status`, "utf8")
          return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024
        },
        end: () => {
          server.kill("SIGTERM")
          return ended
        }
      }))
  })

/** Runs in the page before anything else of it: notes when the first curve has its values, and when values change. */
const watching = `
  globalThis.seen = {}
  const look = () => {
    const text = document.querySelector(".u-wrap canvas") && document.querySelector(".readout .value")?.parentElement.textContent
    if (text) {
      seen.first ??= performance.now()
      const step = /step ([\\d,]+)/.exec(text)?.[1]
      if (step) seen["step " + step] ??= Date.now()
    }
    requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
`

const open = async (browser: Browser, address: string): Promise<Page> => {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  await page.addInitScript(watching)
  await page.goto(address)
  return page
}

/** Waits for an expression of the page. Its policy lets no text be evaluated, so it cannot wait for it itself. */
const until = async (page: Page, expression: string): Promise<void> => {
  for (const from = performance.now(); await page.evaluate(expression) !== true;) {
    if (performance.now() - from > 300_000) throw new Error(`The page never came to ${expression}`)
    await page.waitForTimeout(20)
  }
}

/** Seconds from the page's load to its first curve. */
const firstChart = async (page: Page): Promise<number> => {
  await until(page, "seen.first !== undefined")
  const millis = Number(
    await page.evaluate("seen.first - performance.getEntriesByType('navigation')[0].loadEventEnd")
  )
  // A curve that is there before the page counts as loaded.
  return Math.max(0, millis) / 1000
}

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

const repeated = async <A>(times: number, once: () => Promise<A>): Promise<ReadonlyArray<A>> => {
  const all: Array<A> = []
  for (let i = 0; i < times; i++) all.push(await once())
  return all
}

/** A long run: its first chart, all of it, the memory of the server. */
const long = async (browser: Browser, directory: string, lines: number, rounds: number) => {
  const root = join(directory, `long-${lines}`)
  runInfo(root, "long", "finished")
  const log = write(join(root, "metrics.jsonl"), logged(steady(narrowKeys)), { lines })
  const all = await repeated(rounds, async () => {
    const server = await serve(root)
    const from = performance.now()
    const page = await open(browser, server.address)
    const first = await firstChart(page)
    await until(page, "!document.body.innerText.includes('first look')")
    const whole = (performance.now() - from) / 1000
    // One zooms in, which reads the log again.
    await page.goto(`${server.address}?run=.&range=${lines / 2}~${lines / 2 + 1000}`)
    await firstChart(page)
    await page.waitForTimeout(1000)
    const peak = server.peak()
    await page.close()
    await server.end()
    return { first, whole, peak }
  })
  rmSync(root, { recursive: true })
  return {
    points: lines * narrowKeys.length,
    bytes: log.bytes,
    first: spread(all.map((one) => one.first)),
    whole: spread(all.map((one) => one.whole)),
    peak: Math.max(...all.map((one) => one.peak))
  }
}

/** Seconds from a line's write until its value is in the page. */
const live = async (browser: Browser, directory: string, lines: number): Promise<ReadonlyArray<number>> => {
  const root = join(directory, "live")
  runInfo(root, "live", "finished")
  const log = join(root, "metrics.jsonl")
  const line = (step: number): string =>
    `{"seq":${step},"step":${step},"timestamp":${1_795_445_508 + step},"rank":0,"metrics":{"loss":${1 / step}}}\n`
  writeFileSync(log, line(1))
  const server = await serve(root)
  const page = await open(browser, server.address)
  await firstChart(page)
  await page.waitForTimeout(500)
  const delays: Array<number> = []
  for (let step = 2; step < 2 + lines; step++) {
    // Not in step with what looks at the file.
    await page.waitForTimeout(300 + 37 * step % 100)
    const from = Date.now()
    appendFileSync(log, line(step))
    await until(page, `seen["step ${step}"] !== undefined`)
    delays.push((Number(await page.evaluate(`seen["step ${step}"]`)) - from) / 1000)
  }
  await page.close()
  await server.end()
  return delays
}

/** Many runs: the first answer of the list, later ones, the first chart. */
const many = async (browser: Browser, directory: string, runs: number) => {
  const root = join(directory, "many")
  for (let i = 0; i < runs; i++) {
    const one = join(root, `project-${i % 10}`, `run-${i}`)
    runInfo(one, `run-${i}`, "finished")
    write(join(one, "metrics.jsonl"), logged(steady(narrowKeys, i + 1)), { lines: 200 })
  }
  const server = await serve(root)
  const ask = async (): Promise<number> => {
    const from = performance.now()
    await (await fetch(`${server.address}api/runs`)).arrayBuffer()
    return (performance.now() - from) / 1000
  }
  const first = await ask()
  const page = await open(browser, server.address)
  const chart = await firstChart(page)
  await page.close()
  const again = await repeated(5, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1100))
    return ask()
  })
  const peak = server.peak()
  await server.end()
  return { first, again: spread(again), chart, peak }
}

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] })
  try {
    const rounds = quick ? 1 : 5
    const short = await long(browser, directory, quick ? 1000 : 12_500, rounds)
    const whole = await long(browser, directory, quick ? 125_000 : 1_250_000, rounds)
    const delays = await live(browser, directory, quick ? 5 : 30)
    const runs = quick ? 100 : 1000
    const listed = await many(browser, directory, runs)
    const points = `${count(whole.points)} points`
    return {
      tables: [
        {
          columns: ["run", "first chart", "all of it read", "peak memory of the server"],
          rows: [short, whole].map((one) => [
            `${count(one.points)} points, ${megabytes(one.bytes)}`,
            times(one.first),
            times(one.whole),
            megabytes(one.peak)
          ])
        },
        {
          columns: ["live point on screen", "p50", "p99"],
          rows: [["", seconds(quantile(delays, 0.5)), seconds(quantile(delays, 0.99))]]
        },
        {
          columns: ["runs", "list, first", "list, again", "first chart", "peak memory of the server"],
          rows: [[
            count(runs),
            seconds(listed.first),
            times(listed.again),
            seconds(listed.chart),
            megabytes(listed.peak)
          ]]
        }
      ],
      checks: [
        atMost(`first chart of ${points} within 1.5 s of the page's load`, whole.first.median, 1.5, seconds),
        atMost("a live point on screen within 1 s", quantile(delays, 0.99), 1, seconds),
        atMost(`serve below 300 MB with ${points}`, whole.peak, 300e6, megabytes)
      ]
    }
  } finally {
    for (const server of servers) server.kill()
    await browser.close()
  }
}
