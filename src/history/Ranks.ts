/**
 * What is known of the ranks of a job, for a person to read.
 *
 * @since 0.3.0
 */
import * as Effect from "effect/Effect"
import * as Rank from "../Rank.ts"
import { jobOf } from "../reducer/zeromq/reduction/options.ts"

/**
 * Which variable turns statistics across ranks off, if one does.
 *
 * @category combinators
 * @since 0.3.0
 */
export const turnedOff = (environment: Rank.Environment): string | undefined =>
  ["EZPZ_NO_DISTRIBUTED_HISTORY", "EZPZ_LOCAL_HISTORY"].find((name) =>
    /^(?:1|true|yes|on)$/i.test(environment[name] ?? "")
  )

/**
 * The rank, the job, where its root is and whether it answers, as labels and texts. No key is among them.
 *
 * @category combinators
 * @since 0.3.0
 */
export const describe = (environment: Rank.Environment): Effect.Effect<ReadonlyArray<readonly [string, string]>> =>
  Effect.gen(function*() {
    const { launcher, localRank, localWorldSize, rank, worldSize } = Rank.fromEnvironment(environment)
    const local = worldSize === 1 || localWorldSize === undefined
      ? ""
      : `, ${localRank} of ${localWorldSize} on this host`
    const who = ["rank", `${rank} of ${worldSize}${local} (launcher: ${launcher})`] as const
    const said = [who, ...Rank.doubts(environment).map((doubt) => ["", `not believed: ${doubt}`] as const)]
    if (worldSize === 1) return [...said, ["transport", "none needed: one rank"]]
    const named = [...said, ["job", jobOf(environment).id] as const]
    const off = turnedOff(environment)
    if (off !== undefined) return [...named, ["transport", `none: ${off} turns statistics across ranks off`]]
    const { probe } = yield* Effect.promise(() => import("../reducer/zeromq/Probe.ts"))
    const { root, transport } = yield* probe(environment)
    return [...named, ["root", root], ["transport", transport]]
  })
