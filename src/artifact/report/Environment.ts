/**
 * The report's sections about where a run came from, and with what configuration.
 *
 * @since 0.1.0
 */
import type { RunInfo } from "../RunInfo.ts"
import { type Format, left, type Lines, number, quoted } from "./Format.ts"

/** Values of the configuration: at most so many. */
const maxRows = 200

/**
 * Where the run came from: paths, machine, environment variables, rank, backends, timings.
 *
 * @category sections
 * @since 0.1.0
 */
export const environment = (info: RunInfo, format: Format): Lines => {
  const { code, folded, heading, paragraph, plain, table } = format
  const { provenance, run } = info
  const { distributed, git, platform } = provenance
  const variables = Object.entries(provenance.environment).map(([name, value]) => [code(name), code(value)])
  const timings = Object.entries(info.timings).map(([phase, seconds]) => [plain(phase), seconds.toFixed(3)])
  return [
    ...heading(2, "Environment"),
    ...heading(3, "Paths"),
    ...table(["Path", ""], [
      ["Working directory", code(provenance.workingDirectory)],
      ["Run", code(run.directory)]
    ]),
    ...heading(3, "Runtime"),
    ...table(["Runtime", ""], [
      ["Command", code(provenance.command.map(quoted).join(" "), 1000)],
      ["Git", git === null ? "" : gitText(git, code)],
      ["Host", code(platform.host)],
      ["User", code(platform.user ?? "")],
      ["System", plain(`${platform.os} ${platform.arch}`)],
      ["CPU", `${platform.cores} × ${plain(platform.cpu ?? "unknown")}`],
      ["Memory", `${number(Math.round(platform.memory / 2 ** 30 * 10) / 10)} GiB`],
      ["Node", plain(platform.node)]
    ]),
    ...(variables.length === 0
      ? []
      : [...heading(3, "Environment Variables"), ...folded(variables.length, table(["Variable", "Value"], variables))]),
    ...heading(3, "Distributed"),
    ...table(["Distributed", ""], [
      ["Rank", String(distributed.rank)],
      ["World size", String(distributed.worldSize)],
      ["Launcher", plain(distributed.launcher)]
    ]),
    ...heading(3, "Backends"),
    ...paragraph(run.backends.length === 0 ? "None." : run.backends.map((backend) => code(backend)).join(", ")),
    ...(timings.length === 0 ? [] : [...heading(3, "Timings"), ...table(["Phase", "Seconds"], timings, 1)])
  ]
}

const gitText = (
  { branch, commit, dirty }: NonNullable<RunInfo["provenance"]["git"]>,
  code: Format["code"]
): string =>
  [
    code(commit ?? "no commit"),
    branch === null ? "" : `on ${code(branch)}`,
    dirty === true ? "with uncommitted changes" : ""
  ].filter((part) => part !== "").join(" ")

/**
 * The configuration, flat.
 *
 * @category sections
 * @since 0.1.0
 */
export const configuration = (config: RunInfo["config"], format: Format): Lines => {
  const { code, folded, heading, table } = format
  const rows: Array<ReadonlyArray<string>> = []
  let total = 0
  const visit = (path: string, value: unknown): void => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      const entries = Object.entries(value)
      for (const [key, member] of entries) visit(path === "" ? key : `${path}.${key}`, member)
      if (entries.length > 0 || path === "") return
    }
    total++
    if (rows.length < maxRows) rows.push([code(path), code(text(value))])
  }
  visit("", config)
  if (total === 0) return []
  return [
    ...heading(2, "Configuration"),
    ...folded(rows.length, table(["Key", "Value"], rows)),
    ...left(format, total - rows.length, "value", "is in run_info.json", "are in run_info.json")
  ]
}

/** A value as a person would write it. */
const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(
    value,
    (_key, item: unknown) => typeof item === "number" && !Number.isFinite(item) ? String(item) : item
  ) ?? ""
