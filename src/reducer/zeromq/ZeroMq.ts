/**
 * Reductions over ZeroMQ: every rank sends its records to rank 0, which closes its own with what all ranks said.
 *
 * A rank never waits. Its records are frames that are kept until the root has no need of them any more (Producer.ts), so
 * a root that is late, slow, stopped or started over costs nothing but memory, up to a limit that is counted and told.
 * The root's own `offer` only looks at what is there: records close when frames arrive, and on a timer for deadlines.
 *
 * Either side leaves at the end of its `flush`, not with its scope: another run of the same job may begin at once.
 *
 * @since 0.3.0
 */
import * as Rank from "../../Rank.ts"
import type { Reducer } from "../../Reducer.ts"
import { follower } from "./reduction/follower.ts"
import type { Options } from "./reduction/options.ts"
import { root } from "./reduction/root.ts"

export type { Options } from "./reduction/options.ts"

/**
 * The reducer of this process, which must be one of several ranks.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (options: Options): Reducer["Service"] => {
  const rank = Rank.fromEnvironment(options.environment)
  return {
    rank,
    open: (runId, publish) => (rank.rank === 0 ? root(options, rank, runId, publish) : follower(options, rank))
  }
}
