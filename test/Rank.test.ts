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

describe("fromEnvironment, of what is said and of nodes", () => {
  it("believes what a person says before any launcher, in part, too", () => {
    const mpi = { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2" }
    assert.deepStrictEqual(of({ ...mpi, EZPZ_RANK: "5", EZPZ_WORLD_SIZE: "6" }), [5, 6, 0, "EZPZ_RANK"])
    assert.deepStrictEqual(of({ PALS_RANKID: "5", EZPZ_WORLD_SIZE: "24" }), [5, 24, 0, "PALS"])
    assert.deepStrictEqual(of({ ...mpi, EZPZ_RANK: "6", EZPZ_WORLD_SIZE: "6" }), [1, 6, 0, "Open MPI"])
    assert.deepStrictEqual(of({ ...mpi, EZPZ_RANK: "6" }), [1, 2, 0, "Open MPI"])
  })

  it("makes no ranks of a batch script, which has nobody beside it", () => {
    const script = { SLURM_JOB_ID: "7", SLURM_PROCID: "0", SLURM_NTASKS: "8", SLURM_LOCALID: "0" }
    assert.strictEqual(Rank.fromEnvironment(script), Rank.single)
    assert.strictEqual(Rank.fromEnvironment({ PBS_JOBID: "7.server", PBS_NODENUM: "0" }), Rank.single)
    // Submitted by a task of a step with three.
    const inherited = { SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "3", SLURM_STEP_TASKS_PER_NODE: "3" }
    const first = { ...script, ...inherited, SLURM_NODEID: "0" }
    assert.strictEqual(Rank.fromEnvironment({ ...first, SLURM_GTIDS: "0" }), Rank.single)
    assert.deepStrictEqual(of({ ...first, SLURM_GTIDS: "0,1,2" }), [0, 3, 0, "Slurm"])
    assert.deepStrictEqual(of({ ...first, SLURM_GTIDS: "0", SLURM_STEP_TASKS_PER_NODE: "1,2" }), [0, 3, 0, "Slurm"])
    // A step may be smaller than its job.
    assert.deepStrictEqual(of({ ...script, SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "2" }), [0, 2, 0, "Slurm"])
  })

  it("knows how many are on this host, where the launcher says", () => {
    const local = (environment: Rank.Environment) => Rank.fromEnvironment(environment).localWorldSize
    assert.strictEqual(local({ RANK: "3", WORLD_SIZE: "8", LOCAL_RANK: "1", LOCAL_WORLD_SIZE: "2" }), 2)
    assert.strictEqual(
      local({ OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_LOCAL_SIZE: "2" }),
      2
    )
    assert.strictEqual(local({ PALS_RANKID: "5", PMI_SIZE: "24", PALS_LOCAL_RANKID: "5", PALS_LOCAL_SIZE: "12" }), 12)
    assert.strictEqual(local({ PMI_RANK: "1", PMI_SIZE: "4", MPI_LOCALRANKID: "1", MPI_LOCALNRANKS: "2" }), 2)
    assert.strictEqual(local({ EZPZ_RANK: "1", EZPZ_WORLD_SIZE: "4", EZPZ_LOCAL_WORLD_SIZE: "3" }), 3)
    assert.strictEqual(local({ FLUX_TASK_RANK: "0", FLUX_JOB_SIZE: "4", FLUX_JOB_NNODES: "1" }), 4)
    assert.strictEqual(local({ FLUX_TASK_RANK: "0", FLUX_JOB_SIZE: "4", FLUX_JOB_NNODES: "2" }), undefined)
    const slurm = { SLURM_PROCID: "9", SLURM_NTASKS: "11", SLURM_LOCALID: "1", SLURM_STEP_TASKS_PER_NODE: "4(x2),3" }
    assert.strictEqual(local({ ...slurm, SLURM_NODEID: "0" }), 4)
    assert.strictEqual(local({ ...slurm, SLURM_NODEID: "1" }), 4)
    assert.strictEqual(local({ ...slurm, SLURM_NODEID: "2" }), 3)
    for (const SLURM_NODEID of ["3", undefined]) assert.strictEqual(local({ ...slurm, SLURM_NODEID }), undefined)
    assert.strictEqual(local({ ...slurm, SLURM_STEP_NUM_NODES: "1" }), 11)
    // Fewer than there are local ranks, or more than there are ranks.
    for (const LOCAL_WORLD_SIZE of ["1", "9", "0", "x"]) {
      assert.strictEqual(local({ RANK: "3", WORLD_SIZE: "8", LOCAL_RANK: "1", LOCAL_WORLD_SIZE }), undefined)
    }
  })
})

describe("doubts", () => {
  it("says what is not believed, where each process would be a run of its own", () => {
    const said = (environment: Rank.Environment): string => Rank.doubts(environment).join("; ")
    assert.strictEqual(said({ EZPZ_RANK: "5", EZPZ_WORLD_SIZE: "4" }), "EZPZ_RANK is 5, of EZPZ_WORLD_SIZE 4")
    assert.strictEqual(said({ EZPZ_RANK: "-1", EZPZ_WORLD_SIZE: "4" }), `EZPZ_RANK is "-1", which is no rank`)
    assert.strictEqual(said({ EZPZ_RANK: "1" }), "EZPZ_RANK is 1, but nothing says of how many (EZPZ_WORLD_SIZE)")
    assert.strictEqual(
      said({ EZPZ_WORLD_SIZE: "4" }),
      "EZPZ_WORLD_SIZE is 4, but nothing says which of them this is (EZPZ_RANK)"
    )
    assert.strictEqual(said({ RANK: "3", WORLD_SIZE: "2" }), "RANK is 3, of WORLD_SIZE 2")
    const mpi = { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "3" }
    assert.strictEqual(said({ ...mpi, RANK: "0", WORLD_SIZE: "1" }), "RANK says 0 of 1, OMPI_COMM_WORLD_RANK 1 of 3")
    assert.strictEqual(
      said({ ...mpi, EZPZ_RANK: "6" }),
      "EZPZ_RANK is 6, but nothing says of how many (EZPZ_WORLD_SIZE)"
    )
  })

  it("says nothing of what fits together, of what a person wants, or of names that others use", () => {
    const mpi = { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "3" }
    for (
      const environment of [
        {},
        mpi,
        { ...mpi, RANK: "5", WORLD_SIZE: "8" },
        { ...mpi, EZPZ_RANK: "0", EZPZ_WORLD_SIZE: "1" },
        { EZPZ_WORLD_SIZE: "1" },
        { RANK: "gold" },
        { SLURM_JOB_ID: "7", SLURM_PROCID: "0", SLURM_NTASKS: "8", SLURM_LOCALID: "0" }
      ]
    ) {
      assert.deepStrictEqual(Rank.doubts(environment), [])
    }
  })
})

describe("jobFromEnvironment", () => {
  const id = (environment: Rank.Environment) => Rank.jobFromEnvironment(environment).id

  it("is what the launcher calls it, within the scheduler's job", () => {
    const torchrun = {
      RANK: "0",
      WORLD_SIZE: "2",
      TORCHELASTIC_RUN_ID: "none",
      MASTER_ADDR: "node7",
      MASTER_PORT: "29500"
    }
    assert.strictEqual(id(torchrun), "torchrun-none-node7-29500")
    assert.strictEqual(id({ ...torchrun, TORCHELASTIC_RESTART_COUNT: "0" }), "torchrun-none-node7-29500")
    assert.strictEqual(id({ ...torchrun, TORCHELASTIC_RESTART_COUNT: "1" }), "torchrun-none-node7-29500-again1")
    assert.strictEqual(id({ ...torchrun, SLURM_JOB_ID: "42" }), "slurm-42-torchrun-none-node7-29500")
    // The node whose worker failed counts one, the others none.
    const nodes = { ...torchrun, GROUP_WORLD_SIZE: "2" }
    assert.strictEqual(
      id({ ...nodes, TORCHELASTIC_RESTART_COUNT: "1" }),
      id({ ...nodes, TORCHELASTIC_RESTART_COUNT: "0" })
    )
    const mpi = { OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "2", PMIX_NAMESPACE: "2871328769" }
    assert.strictEqual(id(mpi), "openmpi-2871328769")
    assert.strictEqual(id({ ...mpi, PMIX_NAMESPACE: "prterun-node7-9204@1" }), "openmpi-prterun-node7-9204@1")
    assert.strictEqual(id({ ...mpi, PBS_JOBID: "7.server" }), "pbs-7.server-openmpi-2871328769")
    assert.strictEqual(id({ PALS_RANKID: "0", PALS_SIZE: "2", PALS_APID: "8c1f", PBS_JOBID: "7" }), "pbs-7-pals-8c1f")
    assert.strictEqual(id({ PMI_RANK: "0", PMI_SIZE: "2", LSB_JOBID: "7" }), "lsf-7-mpich")
    assert.strictEqual(id({ FLUX_TASK_RANK: "0", FLUX_JOB_SIZE: "2", FLUX_JOB_ID: "f3x" }), "flux-f3x")
  })

  it("tells the steps of a job apart, and its second start from its first", () => {
    const slurm = { SLURM_PROCID: "0", SLURM_NTASKS: "2", SLURM_JOB_ID: "42", SLURM_STEP_ID: "0" }
    assert.strictEqual(id(slurm), "slurm-42.0")
    assert.strictEqual(id({ ...slurm, SLURM_STEP_ID: "1" }), "slurm-42.1")
    assert.strictEqual(id({ ...slurm, SLURM_RESTART_COUNT: "2" }), "slurm-42.0-again2")
  })

  it("is Slurm's also where Slurm speaks MPICH's language", () => {
    const step = { SLURM_PROCID: "3", SLURM_NTASKS: "4", SLURM_JOB_ID: "42", SLURM_STEP_ID: "7", SLURM_LOCALID: "1" }
    const pmi = { PMI_RANK: "3", PMI_SIZE: "4", PMI_JOBID: "42.7" }
    assert.deepStrictEqual(of({ ...step, ...pmi }), [3, 4, 1, "Slurm"])
    assert.strictEqual(id({ ...step, ...pmi }), "slurm-42.7")
    // An mpiexec within a step.
    assert.deepStrictEqual(of({ ...step, PMI_RANK: "1", PMI_SIZE: "2" }), [1, 2, 0, "MPICH"])
  })

  it("is where MPICH's helpers report to, as it has no name of its own", () => {
    const mpich = { PMI_RANK: "0", PMI_SIZE: "2" }
    const within = (files: Readonly<Record<string, string>>) => Rank.jobFromEnvironment(mpich, (path) => files[path]).id
    const files = {
      "/proc/self/stat": "30 (node) S 29 30 1",
      "/proc/29/stat": "29 (a) S 1 (sh) S 28 30 1",
      "/proc/28/stat": "28 (hydra_pmi_proxy) S 27 30 1",
      "/proc/28/cmdline": "hydra_pmi_proxy\0--control-port\0node7:46143\0--rmk\0user\0"
    }
    assert.strictEqual(within(files), "mpich-node7:46143")
    for (
      const other of [
        { "/proc/self/stat": "" },
        { "/proc/self/stat": "30 (node) S 30 30 1", "/proc/30/stat": "30 (node) S 30 30 1" },
        { "/proc/28/stat": "28 (hydra_other) S 0 30 1" },
        { "/proc/28/cmdline": "hydra_pmi_proxy\0--control-port\0" }
      ]
    ) {
      assert.strictEqual(within({ ...files, ...other }), "mpich")
    }
    assert.strictEqual(
      Rank.jobFromEnvironment({ ...mpich, PMI_JOBID: "7" }, () => assert.fail("nothing to look for")).id,
      "mpich-7"
    )
  })

  it("is what a person says, or one name where nobody says anything", () => {
    assert.strictEqual(id({ SLURM_JOB_ID: "42", EZPZ_JOB_ID: " mine " }), "mine")
    assert.strictEqual(id({}), "job")
    assert.strictEqual(id({ EZPZ_RANK: "0", EZPZ_WORLD_SIZE: "2" }), "ezpzrank")
    assert.strictEqual(id({ EZPZ_JOB_ID: "" }), "job")
  })

  it("says where the root may be: the training's master, the first node of Slurm, of PBS", () => {
    const hosts = (environment: Rank.Environment, file?: string) =>
      Rank.jobFromEnvironment(environment, () => file).rootHosts
    assert.deepStrictEqual(hosts({}), [])
    assert.deepStrictEqual(hosts({ MASTER_ADDR: "node7", SLURM_JOB_NODELIST: "node[7-9]" }), ["node7"])
    assert.deepStrictEqual(hosts({ MASTER_ADDR: "10.0.0.1", SLURM_JOB_NODELIST: "n1,n2" }), ["10.0.0.1", "n1"])
    for (
      const [list, first] of [
        ["node[001-003,7],gpu-1", "node001"],
        ["gpu-[2,5-6]-ib", "gpu-2-ib"],
        ["r[1-2]n[03-09]", "r1n03"],
        ["single", "single"]
      ] as const
    ) {
      assert.deepStrictEqual(hosts({ SLURM_JOB_NODELIST: "other", SLURM_STEP_NODELIST: list }), [first])
    }
    assert.deepStrictEqual(hosts({ PBS_NODEFILE: "/var/spool/7" }, "x3001.hsn\nx3002.hsn\n"), ["x3001.hsn"])
    for (const file of [undefined, ""]) assert.deepStrictEqual(hosts({ PBS_NODEFILE: "/var/spool/7" }, file), [])
    for (const list of ["", "[", "]", ","]) assert.deepStrictEqual(hosts({ SLURM_JOB_NODELIST: list }), [])
  })

  it("knows the training's own port, to keep away from it", () => {
    const port = (MASTER_PORT: string) => Rank.jobFromEnvironment({ MASTER_PORT }).masterPort
    assert.strictEqual(port("29500"), 29500)
    for (const text of ["0", "65536", "x", ""]) assert.strictEqual(port(text), undefined)
  })
})
