/**
 * How far tracking has come: what the progress bar shows, from counters that are read on a timer.
 *
 * Of what there is a total, in this order: the steps of `--total-steps`; the bytes of a regular file that is read to its
 * end; the steps that the run's records speak of (`total_steps`). Without one the bar says what came in, and how fast.
 *
 * - A run whose first step is 0 has done one more step than its last step says. Records without a step count as one each.
 * - The rate is that of the last two minutes. Left out of it are stretches in which the step went back, or jumped: took
 *   more than ten times the steps a record that is usual. A pause longer than those before makes the rate fall.
 * - A total that was passed was wrong: it is still named, and nothing is said of the time left.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Bar, Screen } from "./Screen.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** What has come in so far. `firstStep` and `step` are those of the first and the last record that had one. */
export interface Counters {
  readonly bytes: number
  readonly accepted: number
  readonly refused: number
  readonly firstStep: number | undefined
  readonly step: number | undefined
}

/** What is known of the whole. */
export interface Whole {
  /** In bytes, of an input that has an end. */
  readonly size: number | undefined
  /** How many records the run had before. */
  readonly resumedAt: number
  /** Whether `totalSteps` was asked for: then it wins over the size. */
  readonly isGiven: boolean
  readonly totalSteps: () => number | undefined
}

// -----------------------------------------------------------------------------
// Showing
// -----------------------------------------------------------------------------

/** Shows the bar again and again, from when something has come in, until it is interrupted. */
export const show = (
  screen: Pick<Screen["Service"], "progress">,
  whole: Whole,
  read: () => Counters
): Effect.Effect<never> =>
  Effect.suspend(() => {
    const barOf = make(whole)
    return Effect.forever(Effect.andThen(
      Effect.sleep(drawMillis),
      Effect.map(Clock.currentTimeMillis, (now) => {
        const counters = read()
        if (counters.bytes === 0) return
        const bar = barOf(counters, now)
        screen.progress(() => bar)
      })
    ))
  })

const drawMillis = 500

/** What the bar is at a time, given the counters as they are then. */
export const make = (whole: Whole): (counters: Counters, now: number) => Bar => {
  const meters = { steps: makeMeter(), records: makeMeter(), bytes: makeMeter() }
  let startedAt: number | undefined

  return (counters, now) => {
    const { accepted, bytes, refused, step } = counters
    const since = startedAt ??= now
    const records = { unit: "record", done: whole.resumedAt + accepted, rate: meters.records(now, accepted, accepted) }
    const steps = step === undefined ? records : {
      unit: "step",
      done: stepsDone(step, counters.firstStep, whole.resumedAt),
      rate: meters.steps(now, step, accepted)
    }
    const inBytes = whole.size !== undefined && bytes <= whole.size && !whole.isGiven
    const total = inBytes ? whole.size : whole.totalSteps()
    const { done, rate } = inBytes ? { done: bytes, rate: meters.bytes(now, bytes, bytes) } : steps
    const shown = inBytes ? records : steps
    const isPassed = total !== undefined && done > total

    const soFar = shown.unit === "step" && step !== undefined
      ? `step ${count(step)}`
      : `${count(shown.done)} records`
    return {
      label: "tracking",
      fraction: total === undefined || isPassed ? undefined : done / total,
      details: [
        inBytes || total === undefined
          ? soFar
          : isPassed
          ? `${soFar} (of ${count(total)})`
          : `${count(done)}/${count(total)} ${shown.unit}s`,
        refused > 0 ? `${count(refused)} refused` : "",
        total === undefined || rate === undefined || done >= total ? "" : timeLeft((total - done) / rate),
        shown.rate === undefined ? "" : pace(shown.rate, shown.unit),
        `${duration((now - since) / 1000)} elapsed`
      ].filter((detail) => detail !== "")
    }
  }
}

/** The step of one of the last records: they may be many, and not all may have one. */
export const lastStep = (records: ReadonlyArray<{ readonly step: number | undefined }>): number | undefined => {
  for (let back = 1; back <= 8; back++) {
    const step = records.at(-back)?.step
    if (step !== undefined) return step
  }
  return undefined
}

/** A run that is gone on with begins at 0, too, if its next step is the number of records it had. */
const stepsDone = (step: number, firstStep: number | undefined, resumedAt: number): number =>
  Math.max(0, firstStep === resumedAt ? step + 1 : step)

// -----------------------------------------------------------------------------
// Rate
// -----------------------------------------------------------------------------

/** How much of something there was at a time (in milliseconds), after how many records. */
export interface Sample {
  readonly at: number
  readonly amount: number
  readonly records: number
}

/** Takes what there is now, and gives how much comes in a second; undefined while that cannot be said. */
const makeMeter = () => {
  let samples: ReadonlyArray<Sample> = []
  return (at: number, amount: number, records: number): number | undefined => {
    const last = samples.at(-1)
    if (last === undefined || last.amount !== amount || last.records !== records) {
      // The stretch that reaches into the window is kept, and a few of slow steps, however long ago they were.
      samples = [...samples, { at, amount, records }].filter((_, i, all) =>
        at - (all[i + 1]?.at ?? at) <= windowMillis || i >= all.length - fewSamples
      )
    }
    return rateOf(samples, at)
  }
}

const windowMillis = 120_000
const fewSamples = 6

/** What a second brings, from what there was at several times up to now. */
export const rateOf = (samples: ReadonlyArray<Sample>, now: number): number | undefined => {
  const stretches = samples.slice(1).map((sample, i) => {
    const before = samples[i] ?? sample
    return {
      millis: sample.at - before.at,
      amount: sample.amount - before.amount,
      records: Math.max(1, sample.records - before.records)
    }
  })
  const usual = usualOf(stretches)
  let millis = 0
  let amount = 0
  let longest = 0
  for (const stretch of stretches) {
    if (stretch.amount < 0 || stretch.amount > jump * usual * stretch.records) continue
    millis += stretch.millis
    amount += stretch.amount
    longest = Math.max(longest, stretch.millis)
  }
  if (!(amount > 0) || millis === 0) return undefined
  const pause = Math.max(0, now - (samples.at(-1)?.at ?? now) - longest)
  return amount / (millis + pause) * 1000
}

const jump = 10

/** How many steps a record takes: so many or fewer in half of the records of stretches that took some. */
const usualOf = (stretches: ReadonlyArray<{ readonly amount: number; readonly records: number }>): number => {
  const taken = stretches
    .filter(({ amount }) => amount > 0)
    .map(({ amount, records }) => ({ each: amount / records, records }))
    .sort((a, b) => a.each - b.each)
  const half = taken.reduce((sum, { records }) => sum + records, 0) / 2
  let sum = 0
  return taken.find(({ records }) => (sum += records) >= half)?.each ?? 0
}

// -----------------------------------------------------------------------------
// Words
// -----------------------------------------------------------------------------

const count = (n: number): string => n.toLocaleString("en", { maximumFractionDigits: 2 })

/** `3.20 steps/s`, or `12.5 s/step` where that is more than one. */
const pace = (rate: number, unit: string): string => {
  if (rate >= 1) return `${rate >= 100 ? count(Math.round(rate)) : rate.toPrecision(3)} ${unit}s/s`
  const seconds = 1 / rate
  return seconds < 60 ? `${seconds.toPrecision(3)} s/${unit}` : `${duration(seconds)}/${unit}`
}

/** Of more than a century nothing is said. */
const timeLeft = (seconds: number): string =>
  seconds < 100 * 365.25 * day ? `${duration(Math.max(1, seconds))} left` : ""

const day = 86_400

/** `4:05`, `1:04:05`, `3d 01:04`. */
export const duration = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  const [s, m, h] = [whole % 60, Math.floor(whole / 60) % 60, Math.floor(whole / 3600) % 24]
  const two = (n: number): string => String(n).padStart(2, "0")
  return whole >= day
    ? `${Math.floor(whole / day)}d ${two(h)}:${two(m)}`
    : whole >= 3600
    ? `${h}:${two(m)}:${two(s)}`
    : `${m}:${two(s)}`
}
