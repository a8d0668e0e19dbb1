/**
 * Credentials of every kind, each with a mark, and servers that repeat whatever they were sent: not one byte of a mark
 * may be in what the command writes, shows or sends beside the headers that it is for.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import * as Wandb from "../integration/wandb/server.ts"
import { records, run, temporary } from "./command.ts"

/** Each is told from the others by what follows the mark. */
const secret = (which: string): string => `MARKED${which}0123456789abcdef`

const key = secret("wandb").padEnd(40, "0")

const shell = {
  WANDB_API_KEY: key,
  MLFLOW_TRACKING_USERNAME: "someone",
  MLFLOW_TRACKING_PASSWORD: secret("password"),
  HF_TOKEN: secret("hf")
}

/** What must be found nowhere: the marks, and the forms in which headers carry them. */
const forms = (): ReadonlyArray<string> => [
  "MARKED",
  ...[`api:${key}`, `someone:${shell.MLFLOW_TRACKING_PASSWORD}`].map((pair) => Buffer.from(pair).toString("base64"))
]

const assertClean = (what: string, bytes: Buffer | string): void => {
  const text = Buffer.from(bytes).toString("latin1")
  for (const form of forms()) {
    const at = text.indexOf(form)
    assert.isTrue(at < 0, `${what} holds a credential: ${text.slice(Math.max(0, at - 60), at + 60)}`)
  }
}

const assertCleanFiles = (directory: string): number => {
  let files = 0
  for (const entry of Fs.readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = Path.join(entry.parentPath, entry.name)
    assertClean("the name of a file", path)
    if (entry.isFile()) {
      assertClean(path, Fs.readFileSync(path))
      files++
    } else if (entry.isSymbolicLink()) assertClean(path, Fs.readlinkSync(path))
  }
  return files
}

/** Refuses everything, and repeats all it was sent, as careless servers do. Keeps the bodies. */
let echo: Http.Server
let wandb: Wandb.Server
const bodies: Array<string> = []

beforeAll(async () => {
  wandb = await Wandb.make({ apiKey: key })
  echo = Http.createServer(async (request, response) => {
    let body = ""
    for await (const chunk of request) body += String(chunk)
    bodies.push(`${request.url}\n${body}`)
    const message = `${request.url} ${JSON.stringify(request.rawHeaders)} ${body} ` +
      Buffer.from(request.headers.authorization?.replace("Basic ", "") ?? "", "base64").toString()
    response.writeHead(403, { "content-type": "application/json" }).end(JSON.stringify({ message }))
  })
  await new Promise<void>((listening) => echo.listen(0, "127.0.0.1", listening))
})
afterAll(async () => {
  echo.close()
  await wandb[Symbol.asyncDispose]()
})

const echoUrl = (): string => {
  const address = echo.address()
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
}

const job = (directory: string): ReadonlyArray<string> => [
  "run",
  "-o",
  directory,
  "--backends",
  "csv,wandb,mlflow",
  "--finish-timeout",
  "6",
  "--config",
  "lr=0.1",
  "--config",
  `api_key=${secret("config")}`,
  "--config",
  `nested={"db":{"password":"${secret("nested")}"},"url":"https://me:${secret("url")}@host/"}`,
  "--",
  process.execPath,
  "-e",
  `process.stdout.write(${JSON.stringify(records(20))})`,
  "--",
  "--token",
  secret("flag"),
  `--hf-token=${secret("assigned")}`
]

describe("credentials are in no byte that is written, shown or sent", () => {
  for (
    const [what, urls] of [
      ["where servers refuse and repeat them", () => ({ WANDB_BASE_URL: echoUrl(), MLFLOW_TRACKING_URI: echoUrl() })],
      ["where W&B takes the run", () => ({ WANDB_BASE_URL: wandb.url, MLFLOW_TRACKING_URI: echoUrl() })],
      ["where W&B is offline", () => ({ WANDB_MODE: "offline", MLFLOW_TRACKING_URI: echoUrl() })],
      [
        "where the address holds them",
        () => ({ WANDB_MODE: "offline", MLFLOW_TRACKING_URI: echoUrl().replace("//", `//me:${secret("uri")}@`) })
      ]
    ] as const
  ) {
    it(what, async () => {
      const cwd = temporary()
      const home = temporary()
      Fs.writeFileSync(Path.join(cwd, ".env"), `AMSC_API_KEY=${secret("dotenv")}\nMLFLOW_TRACKING_TOKEN=\n`)
      Fs.writeFileSync(
        Path.join(home, ".amsc.env"),
        `AM_SC_API_KEY=${secret("amsc")}\nSOME_PASSWORD=${secret("pass")}\n`
      )
      Fs.writeFileSync(Path.join(home, ".netrc"), `machine 127.0.0.1 login user password ${secret("netrc")}\n`)
      const env = { ...shell, ...urls(), HOME: home }
      const commands: ReadonlyArray<ReadonlyArray<string>> = [
        job("out"),
        ["sync", "--patience", "5", "out"],
        ["finalize", "out"],
        ["doctor"]
      ]
      for (const command of commands) {
        const { error, out } = await run(command, { cwd, env })
        assertClean(`the stdout of ${command[0]}`, out)
        assertClean(`the stderr of ${command[0]}`, error)
      }
      assert.isAbove(assertCleanFiles(Path.join(cwd, "out")), 15)
      for (const body of bodies) assertClean("a request", body)
      for (const remote of wandb.runs.values()) {
        assertClean("W&B", JSON.stringify({ ...remote, files: undefined }))
        for (const [name, content] of remote.files) assertClean(`${name} at W&B`, content)
      }
    })
  }

  it("and the servers were asked, with credentials that they knew", () => {
    assert.isTrue(bodies.some((body) => body.includes("/api/2.0/mlflow/")))
    assert.isTrue([...wandb.runs.values()].some((remote) => remote.complete && remote.history.length >= 20))
  })
})
