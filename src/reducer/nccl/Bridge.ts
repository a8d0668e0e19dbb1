/**
 * The bridge: a process beside each rank that has the GPU's libraries loaded, so that whatever they do, the rank goes on. It
 * does what the rank asks for over their pipe (Messages.ts), and ends with it.
 *
 * @since 0.4.0
 */
import type { Duplex } from "node:stream"
import { type Engine, EngineError, type Opening } from "./Engine.ts"
import * as Handle from "./Handle.ts"
import * as Messages from "./Messages.ts"

/**
 * Serves a rank until it closes the pipe, or speaks something else.
 *
 * @category running
 * @since 0.4.0
 */
export const serve = (pipe: Duplex, open: (opening: Opening) => Promise<Engine>): Promise<void> =>
  new Promise((resolve) => {
    const reader = Messages.reader()
    let engine: Engine | undefined
    const opened = (): Engine => {
      if (engine === undefined) throw new EngineError("refused", "the engine is not open")
      return engine
    }

    const answer = async ({ payload, type }: Messages.Message): Promise<Uint8Array | undefined> => {
      switch (type) {
        case "open": {
          engine = await open(openingOf(payload))
          return Messages.json({ description: engine.description, carries: engine.carries })
        }
        case "id":
          return opened().uniqueId()
        case "join": {
          const joining = Messages.joinedBy(payload)
          if (joining === undefined) throw new EngineError("refused", "a join without a rank")
          await opened().join(joining.rank, joining.worldSize, joining.id)
          return undefined
        }
        case "send":
          await opened().send(payload)
          return undefined
        case "receive":
          return opened().receive(Messages.wordsOf(payload))
        case "read": {
          const handle = Handle.decode(Messages.objectOf(payload))
          if (Handle.isRefused(handle)) throw new EngineError("refused", handle.reason)
          const { buffer } = await opened().read(handle)
          return new Uint8Array(buffer)
        }
        case "leave":
          engine?.leave()
          return undefined
        default:
          throw new EngineError("refused", `a bridge is not told "${type}"`)
      }
    }
    const handle = (message: Messages.Message): void => {
      answer(message).then(
        (payload) => void pipe.write(Messages.encode("done", message.id, payload)),
        (error: unknown) => void pipe.write(Messages.encode("failed", message.id, Messages.json(failureOf(error))))
      )
    }

    pipe.on("data", (chunk: Uint8Array) => {
      try {
        for (const message of reader.push(chunk)) handle(message)
      } catch {
        pipe.destroy()
      }
    })
    pipe.on("error", () => {})
    pipe.on("close", () => {
      engine?.leave()
      resolve()
    })
    pipe.on("end", () => pipe.destroy())
  })

const openingOf = (payload: Uint8Array): Opening => {
  const { localRank, rank } = Messages.objectOf(payload) ?? {}
  if (typeof rank !== "number" || typeof localRank !== "number") throw new EngineError("refused", "which rank?")
  return { rank, localRank }
}

const failureOf = (error: unknown): Messages.Failure =>
  error instanceof EngineError
    ? { kind: error.kind, reason: error.reason }
    : { kind: "failed", reason: error instanceof Error ? error.message : String(error) }
