/**
 * Which engine a bridge has: CUDA's with NCCL, unless EZPZ_NCCL_ENGINE asks for the host's memory.
 *
 * @since 0.4.0
 */
import type { Environment } from "../../../Rank.ts"
import { type Engine, EngineError, type Opening } from "../Engine.ts"
import * as Cuda from "./Cuda.ts"
import * as Host from "./Host.ts"

/**
 * @category constructors
 * @since 0.4.0
 */
export const open = async (opening: Opening, environment: Environment): Promise<Engine> => {
  const asked = environment["EZPZ_NCCL_ENGINE"]?.trim() ?? ""
  if (asked === "host") return Host.open()
  if (asked === "" || asked === "cuda") return Cuda.open(opening, environment)
  throw new EngineError("missing", `EZPZ_NCCL_ENGINE is "${asked}", not cuda or host`)
}
