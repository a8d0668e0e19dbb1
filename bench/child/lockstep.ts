/**
 * One of several ranks that wait for each other at every step, as those of an all-reduce do: rank 0 until it has the
 * statistics of the step, the others until rank 0 has acknowledged theirs. Rank 0 prints the seconds that the steps took.
 *
 *     node lockstep.ts KEYS WARMUP STEPS     WARMUP: steps before those that are measured
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Rank from "../../src/Rank.ts"
import * as Frame from "../../src/reducer/zeromq/Frame.ts"
import * as Producer from "../../src/reducer/zeromq/Producer.ts"
import * as Rendezvous from "../../src/reducer/zeromq/Rendezvous.ts"
import * as Transport from "../../src/reducer/zeromq/Transport.ts"
import * as ZeroMq from "../../src/reducer/zeromq/ZeroMq.ts"

const [keys = 32, warmup = 1000, steps = 1000] = process.argv.slice(2).map(Number)
const names = Array.from({ length: keys }, (_, i) => `train/metric_${i}`)
const metrics = (step: number) => Object.fromEntries(names.map((name, i) => [name, i + step / 7]))

const root = Effect.gen(function*() {
  let closed = () => {}
  const reduction = yield* ZeroMq.make({ environment: process.env, sync: true }).open("bench", () => closed())
  const one = (step: number) =>
    Effect.promise(() =>
      new Promise<void>((resolve) => {
        closed = resolve
        const row = { seq: step + 1, step, timestamp: step, rank: 0, metrics: metrics(step), statistics: undefined }
        reduction.offer([row])
      })
    )
  for (let step = 0; step <= warmup; step++) yield* one(step)
  const from = performance.now()
  for (let step = warmup + 1; step <= warmup + steps; step++) yield* one(step)
  console.log((performance.now() - from) / 1000)
  yield* reduction.flush
})

/** A rank that reads its acknowledgements: no interface offers that, as no training has to wait for them. */
const other = Effect.gen(function*() {
  const environment = process.env
  const { rank, worldSize } = Rank.fromEnvironment(environment)
  const job = Rank.jobFromEnvironment(environment)
  const origin = { job: Frame.jobOf(job.id), rank, incarnation: 1, worldSize }
  const producer = Producer.make(origin)
  let step = 0
  let said = () => {}
  const done = new Promise<void>((resolve) => {
    said = resolve
  })
  const target = yield* Rendezvous.find({ environment, job })
  const send = (): void => {
    producer.record(metrics(step), step++, Date.now())
    producer.drain(Date.now(), peer.send, true)
  }
  const peer: Transport.Peer = yield* Transport.connect({
    target,
    identity: Transport.identity({ job: job.id, rank, incarnation: 1, process: Transport.thisProcess }),
    connection: (connected) => {
      if (connected) hello()
    },
    receive: (batch) => {
      for (const bytes of batch) {
        const frame = Frame.decode(bytes)
        if (Frame.isRefused(frame)) continue
        if (frame.type === "bye") said()
        else if (frame.type === "welcome" && step === 0) send()
        else if (frame.type === "ack" && frame.seq === step && step <= warmup + steps) {
          producer.acked(frame.seq)
          send()
        }
      }
    }
  })
  const hello = (): void =>
    void peer.send(Frame.encodeBody("hello", { ...origin, seq: 0, sentAt: Date.now() }, { worldSize }))
  if (peer.connected()) hello()
  yield* Effect.promise(() => done)
})

const isRoot = Rank.fromEnvironment(process.env).rank === 0
await Effect.runPromise(
  Effect.scoped(Effect.suspend((): Effect.Effect<void, unknown, Scope.Scope> => isRoot ? root : other))
)
process.exit(0)
