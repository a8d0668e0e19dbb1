/**
 * One end of a transport as a process of its own, to be stopped and killed. Its argument says which end; what happens is
 * told as JSON lines. A frame is a number in 8 bytes, or as many more as asked for.
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Transport from "../../../../src/reducer/zeromq/Transport.ts"

export type Plan =
  | {
    readonly end: "root"
    readonly options: Omit<Transport.ListenOptions, "receive">
  }
  | {
    readonly end: "peer"
    readonly options: Omit<Transport.ConnectOptions, "receive" | "connection">
    readonly everyMillis: number
    readonly bytes?: number
  }

export type Told =
  | { readonly told: "endpoints"; readonly endpoints: ReadonlyArray<string> }
  | { readonly told: "connection"; readonly connected: boolean }
  | { readonly told: "received"; readonly from: string; readonly numbers: ReadonlyArray<number> }

const tell = (told: Told): void => void Fs.writeSync(1, `${JSON.stringify(told)}\n`)

export const frame = (n: number, bytes = 8): Uint8Array => {
  const frame = new Uint8Array(bytes)
  new DataView(frame.buffer).setFloat64(0, n)
  return frame
}

export const numberIn = (frame: Uint8Array): number =>
  new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getFloat64(0)

/** A root answers each number with the same; a peer sends 1, 2, 3... */
const run = (plan: Plan) =>
  Effect.gen(function*() {
    if (plan.end === "root") {
      const root: Transport.Root = yield* Transport.listen({
        ...plan.options,
        receive: (batch) => {
          for (const { frame, peer } of batch) {
            tell({ told: "received", from: peer, numbers: [numberIn(frame)] })
            root.send(peer, new Uint8Array(frame))
          }
        }
      })
      tell({ told: "endpoints", endpoints: root.endpoints })
      return yield* Effect.never
    }
    const peer = yield* Transport.connect({
      ...plan.options,
      receive: (batch) => tell({ told: "received", from: "root", numbers: batch.map(numberIn) }),
      connection: (connected) => tell({ told: "connection", connected })
    })
    for (let n = 1;;) {
      if (peer.send(frame(n, plan.bytes))) n++
      yield* Effect.sleep(plan.everyMillis)
    }
  }).pipe(Effect.scoped)

if (process.argv[2] !== undefined) void Effect.runPromise(run(JSON.parse(process.argv[2])))
