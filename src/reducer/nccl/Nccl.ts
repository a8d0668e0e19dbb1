/**
 * Reductions over NCCL: the reducer is that over ZeroMQ, with another way for the records of all ranks (see
 * ../zeromq/reduction/carrier.ts).
 *
 * What goes through NCCL are the same frames, in batches: so statistics are made of the same numbers in the same order, and
 * have the same bits. ZeroMQ tells who has what, and is there when NCCL is not.
 *
 * With `"auto"` a rank takes part only where it has a GPU, and in jobs of at most 1024 ranks.
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Rank from "../../Rank.ts"
import type { Reducer } from "../../Reducer.ts"
import type { Carrier } from "../zeromq/reduction/carrier.ts"
import * as ZeroMq from "../zeromq/ZeroMq.ts"
import { follower } from "./Follower.ts"
import { defaults, type Options as Times } from "./options.ts"
import { root } from "./Root.ts"
import { share } from "./Shared.ts"

/**
 * Those of a reduction over ZeroMQ, and whether NCCL is asked for (`"nccl"`) or taken where it is there (`"auto"`).
 *
 * @category models
 * @since 0.4.0
 */
export interface Options extends ZeroMq.Options, Partial<Omit<Times, "choice">> {
  readonly choice: Times["choice"]
}

/**
 * The reducer of this process, which must be one of several ranks.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (options: Options): Reducer["Service"] => {
  const { choice, environment } = options
  // Who waits for each step waits for as little as possible.
  const { localRank, rank, worldSize } = Rank.fromEnvironment(environment)
  const isWanted = choice === "nccl" || (isThere() && worldSize <= mostRanks)
  if (options.sync === true || !isWanted) return ZeroMq.make(options)
  const bridge = share({ rank, localRank }, "carry")
  const times = { ...defaults, ...options }
  const carrier: Carrier = {
    root: (side) => root(times, bridge, side),
    follower: (side) => follower(times, bridge, side)
  }
  return ZeroMq.make({ ...options, carrier })
}

/** Beyond, aggregators are worth more than a faster network: with NCCL all ranks are connected to the root. */
const mostRanks = 1024

/**
 * What a bridge of this rank would use, or why there would be none, for a person to read. It starts one where there could be.
 *
 * @category describing
 * @since 0.4.0
 */
export const describe = (environment: Rank.Environment): Effect.Effect<string> => {
  if (!isThere()) return Effect.succeed("no bridge: there is no NVIDIA device. Values go over ZeroMQ")
  const { localRank, rank } = Rank.fromEnvironment(environment)
  return Effect.scoped(share({ rank, localRank }, "read")).pipe(
    Effect.map(({ carries, description }) =>
      carries === undefined ? description : `${description}. Values go over ZeroMQ`
    ),
    Effect.catch(({ reason }) => Effect.succeed(`no bridge: ${reason}. Values go over ZeroMQ`))
  )
}

/** Whether there could be a bridge: an NVIDIA device, or what takes its place. Cheap. Libraries are the shell's matter. */
const isThere = (): boolean =>
  (process.env["EZPZ_NCCL_ENGINE"] ?? "") !== "" || (process.env["EZPZ_CUDA_LIBRARY"] ?? "") !== "" ||
  ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"].some((path) => Fs.existsSync(path))
