import { assert, describe, it } from "@effect/vitest"
import * as Rank from "../src/Rank.ts"

const of = (environment: Rank.Environment) => {
  const { launcher, localRank, rank, worldSize } = Rank.fromEnvironment(environment)
  return [rank, worldSize, localRank, launcher]
}

describe("fromEnvironment", () => {
  it("knows each launcher", () => {
    assert.deepStrictEqual(of({ RANK: "3", WORLD_SIZE: "8", LOCAL_RANK: "1" }), [3, 8, 1, "torchrun"])
    assert.deepStrictEqual(
      of({ OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_LOCAL_RANK: "0" }),
      [0, 2, 0, "Open MPI"]
    )
    assert.deepStrictEqual(of({ PALS_RANKID: "5", PALS_SIZE: "6", PALS_LOCAL_RANKID: "5" }), [5, 6, 5, "PALS"])
    assert.deepStrictEqual(of({ PMI_RANK: "1", PMI_SIZE: "4", MPI_LOCALRANKID: "1" }), [1, 4, 1, "MPICH"])
    assert.deepStrictEqual(of({ SLURM_PROCID: "7", SLURM_NTASKS: "8", SLURM_LOCALID: "3" }), [7, 8, 3, "Slurm"])
    assert.deepStrictEqual(of({ FLUX_TASK_RANK: "0", FLUX_JOB_SIZE: "1" }), [0, 1, 0, "Flux"])
  })

  it("takes the first that makes sense: inside, torchrun is nearer than Slurm", () => {
    const slurm = { SLURM_PROCID: "1", SLURM_NTASKS: "2" }
    assert.deepStrictEqual(of({ ...slurm, RANK: "5", WORLD_SIZE: "8" }), [5, 8, 0, "torchrun"])
    for (
      const torchrun of [{ RANK: "8", WORLD_SIZE: "8" }, { RANK: "5" }, { WORLD_SIZE: "8" }, {
        RANK: "",
        WORLD_SIZE: "8"
      }]
    ) {
      assert.deepStrictEqual(of({ ...slurm, ...torchrun }), [1, 2, 0, "Slurm"])
    }
  })

  it("is one rank where nothing, or nothing sensible, is said", () => {
    for (
      const environment of [{}, { RANK: "-1", WORLD_SIZE: "2" }, { RANK: "x", WORLD_SIZE: "2" }, {
        RANK: "0",
        WORLD_SIZE: "0"
      }, {
        RANK: "1e1",
        WORLD_SIZE: "20"
      }]
    ) {
      assert.strictEqual(Rank.fromEnvironment(environment), Rank.single)
    }
  })
})
