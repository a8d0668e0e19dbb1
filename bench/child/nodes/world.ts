/** The world that is simulated, as the environment of this process says it. */
import * as Rank from "../../../src/Rank.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"

export const { localWorldSize = 1, worldSize } = Rank.fromEnvironment(process.env)

export const job = Rank.jobFromEnvironment(process.env)

export const nodeCount = Math.ceil(worldSize / localWorldSize)

/** Nobody is started over here. */
export const incarnation = 1

export const originOf = (rank: number): Frame.Origin => ({ job: Frame.jobOf(job.id), rank, incarnation, worldSize })

export const stampOf = (rank: number): Frame.Stamp => ({ ...originOf(rank), seq: 0, sentAt: Date.now() })
