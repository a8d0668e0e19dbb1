/** A root that claims its place, listens and publishes, as a process of its own, to be killed. */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Rendezvous from "../../../../src/reducer/zeromq/Rendezvous.ts"
import * as Transport from "../../../../src/reducer/zeromq/Transport.ts"

const run = (options: Rendezvous.ClaimOptions) =>
  Effect.gen(function*() {
    const claim = yield* Rendezvous.claim(options)
    const root: Transport.Root = yield* Transport.listen({
      ...claim.listen,
      receive: (batch) => {
        for (const { frame, peer } of batch) root.send(peer, new Uint8Array(frame))
      }
    })
    yield* claim.publish(root.endpoints)
    Fs.writeSync(1, "published\n")
    return yield* Effect.never
  }).pipe(Effect.scoped)

if (process.argv[2] !== undefined) void Effect.runPromise(run(JSON.parse(process.argv[2])))
