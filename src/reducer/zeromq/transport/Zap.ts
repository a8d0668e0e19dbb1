/**
 * Who is let in: the answerer of ZeroMQ's authentication protocol (ZAP 1.0, ZeroMQ RFC 27).
 *
 * Before a peer that speaks CURVE gets in, libzmq asks at `inproc://zeromq.zap.01` whether its key may. Without an
 * answerer it lets everybody in. There is one such address in a context, so all roots of a process share one answerer:
 * each has a domain of its own, with the keys that it admits. Whoever is in no domain is turned away.
 */
import type { Context, Message, Reply } from "zeromq"
import * as Keys from "../Keys.ts"
import type { Library } from "./library.ts"

interface Domain {
  readonly keys: ReadonlySet<string>
  refused: number
}

const domains = new Map<string, Domain>()
let answerer: Reply | undefined

export interface Admission {
  /** How often somebody was turned away. */
  readonly refused: () => number
  readonly release: () => void
}

/** Lets those with one of `publicKeys` into `domain`, and nobody else, until it is released. */
export const admit = (
  { context, zmq }: { readonly zmq: Library; readonly context: Context },
  domain: string,
  publicKeys: ReadonlyArray<string>
): Admission => {
  if (domains.has(domain)) throw new Error(`the domain ${domain} has keys already`)
  if (answerer === undefined) {
    const socket = new zmq.Reply({ context, linger: 0 })
    socket.bindSync("inproc://zeromq.zap.01")
    answerer = socket
    void answer(socket)
  }
  const mine: Domain = { keys: new Set(publicKeys), refused: 0 }
  domains.set(domain, mine)
  return {
    refused: () => mine.refused,
    release: () => {
      if (domains.get(domain) !== mine) return
      domains.delete(domain)
      // Whoever comes without an answerer is let in, so it goes last: listeners are closed before they release.
      if (domains.size > 0) return
      answerer?.close()
      answerer = undefined
    }
  }
}

/** Ends when the socket is closed. */
const answer = async (socket: Reply): Promise<void> => {
  for (;;) {
    try {
      await socket.send(reply(await socket.receive()))
    } catch {
      if (socket.closed) return
    }
  }
}

/** version, request id, domain, address, identity, mechanism, credentials */
const reply = ([version, id = Buffer.alloc(0), domain, , , mechanism, key]: ReadonlyArray<Message>): Array<
  Buffer | string
> => {
  const asked = domains.get(String(domain))
  const admitted = String(version) === "1.0" && String(mechanism) === "CURVE" && key?.length === 32 &&
    asked?.keys.has(Keys.textOf(key)) === true
  if (!admitted && asked !== undefined) asked.refused++
  return ["1.0", id, admitted ? "200" : "400", admitted ? "OK" : "not of this job", "", ""]
}
