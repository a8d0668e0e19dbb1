/**
 * An engine without a GPU: the bridges of one host meet at a socket, and what would go through NCCL goes through it. It is
 * for tests, and for looking at how a job would behave: EZPZ_NCCL_ENGINE=host.
 *
 * It fails as NCCL does: when somebody is gone, what is under way fails, and so does everything after it.
 *
 * @since 0.4.0
 */
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { type Engine, EngineError } from "../Engine.ts"
import { words, wordsOf } from "../Messages.ts"

/**
 * @category constructors
 * @since 0.4.0
 */
export const open = (): Engine => {
  let server: Net.Server | undefined
  let gathering: Gathering | undefined
  let directory: string | undefined
  let peers: ReadonlyArray<Peer | undefined> = []

  const leave = (): void => {
    server?.close()
    server = undefined
    gathering?.end()
    gathering = undefined
    for (const peer of peers) peer?.end("the communicator was given up")
    peers = []
    if (directory !== undefined) Fs.rmSync(directory, { recursive: true, force: true })
    directory = undefined
  }
  const peerOf = (rank: number): Peer => {
    const peer = peers[rank]
    if (peer === undefined) throw new EngineError("failed", "there is no communicator")
    return peer
  }

  return {
    description: "the host's memory (EZPZ_NCCL_ENGINE=host)",
    carries: undefined,
    uniqueId: async () => {
      leave()
      directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "ezpz-nccl-"))
      const path = Path.join(directory, "socket")
      const listening = Net.createServer()
      server = listening
      gathering = new Gathering(listening)
      listening.listen(path)
      await once(listening, "listening")
      const id = Buffer.alloc(128)
      id.write(path)
      return id
    },
    join: async (rank, worldSize, id) => {
      if (rank === 0) {
        if (gathering === undefined) throw new EngineError("failed", "there is no communicator")
        peers = await gathering.all(worldSize)
        await Promise.all(peers.map((peer) => peer?.write(here)))
        return
      }
      leave()
      const path = Buffer.from(id).toString().replace(/\0.*$/s, "")
      const peer = new Peer(Net.connect(path), 0)
      peers = [peer]
      await peer.write(words([rank]))
      await peer.take(here.length)
    },
    send: (bytes) => peerOf(0).write(bytes),
    receive: async (sizes) =>
      Buffer.concat(
        await Promise.all(sizes.flatMap((size, rank) => size === 0 ? [] : [peerOf(rank).take(size)]))
      ),
    read: () => Promise.reject(new EngineError("missing", "this engine reads no device's memory")),
    leave
  }
}

const here = Buffer.from("here")

/** Those who come to a root, by their numbers, which each says first. They may come before it looks for them. */
class Gathering {
  readonly #peers: Array<Peer | undefined> = []
  readonly #came: Array<Peer> = []
  #look: () => void = () => {}
  #ended = false

  constructor(server: Net.Server) {
    server.on("connection", (socket: Net.Socket) => {
      const peer = new Peer(socket, undefined)
      this.#came.push(peer)
      peer.take(4).then((bytes) => {
        const [rank = 0] = wordsOf(bytes)
        peer.rank = rank
        this.#peers[rank] = peer
        this.#look()
      }, () => {})
    })
  }

  all(worldSize: number): Promise<ReadonlyArray<Peer | undefined>> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        if (this.#ended) reject(new EngineError("failed", "the communicator was given up"))
        // Holes are not counted.
        else if (Object.keys(this.#peers).length === worldSize - 1) resolve([...this.#peers])
      }
      this.#look()
    })
  }

  end(): void {
    this.#ended = true
    for (const peer of this.#came) peer.end("the communicator was given up")
    this.#look()
  }
}

/** The other end of a connection. */
class Peer {
  rank: number | undefined
  readonly #socket: Net.Socket
  #chunks: Array<Uint8Array> = []
  #held = 0
  #gone: string | undefined
  #waiting:
    | { readonly size: number; readonly resolve: (bytes: Uint8Array) => void; readonly reject: Reject }
    | undefined

  constructor(socket: Net.Socket, rank: number | undefined) {
    this.#socket = socket
    this.rank = rank
    socket.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk)
      this.#held += chunk.length
      this.#look()
    })
    socket.on("error", () => {})
    socket.on("close", () => this.end(`rank ${this.rank ?? "?"} is gone`))
    socket.resume()
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#gone !== undefined) throw new EngineError("failed", this.#gone)
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(bytes, (error) => {
        if (error === undefined || error === null) resolve()
        else reject(new EngineError("failed", this.#gone ?? error.message))
      })
    })
  }

  take(size: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#waiting = { size, resolve, reject }
      this.#look()
    })
  }

  end(reason: string): void {
    this.#gone ??= reason
    this.#socket.destroy()
    this.#look()
  }

  #look(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    if (this.#held >= waiting.size) {
      const all = Buffer.concat(this.#chunks)
      this.#chunks = [all.subarray(waiting.size)]
      this.#held -= waiting.size
      this.#waiting = undefined
      waiting.resolve(all.subarray(0, waiting.size))
    } else if (this.#gone !== undefined) {
      this.#waiting = undefined
      waiting.reject(new EngineError("failed", this.#gone))
    }
  }
}

type Reject = (error: EngineError) => void
