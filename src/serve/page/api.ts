/** Asking the server. Answers are what Api.ts says: it is the same build. */
import type { Axis, Change, Filtered, Ranks, Report, Run, Runs, Series } from "../Api.ts"

export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const query = (given: { readonly [name: string]: string | number | undefined | ReadonlyArray<string> }): string => {
  const said = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) {
    if (Array.isArray(value)) { for (const one of value) said.append(name, one) }
    else if (value !== undefined) said.set(name, String(value))
  }
  return said.toString()
}

const ask = async <A>(path: string, signal?: AbortSignal): Promise<A> => {
  let response: Response
  try {
    response = await fetch(path, signal === undefined ? {} : { signal })
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error
    throw new Refused(0, "The server does not answer. Is ezpz-stream serve still running?")
  }
  if (!response.ok) {
    const said: { readonly problem?: string } = await response.json().catch(() => ({}))
    throw new Refused(response.status, said.problem ?? `The server answered with ${response.status}`)
  }
  return response.json()
}

export const runs = (): Promise<Runs> => ask("api/runs")

export const run = (id: string): Promise<Run> => ask(`api/run?${query({ run: id })}`)

export interface Wanted {
  readonly run: string
  readonly keys: ReadonlyArray<string>
  readonly axis: Axis
  readonly range: readonly [number, number] | undefined
  readonly width: number
  readonly smooth: number
  readonly fine: boolean
}

export const series = ({ axis, fine, keys, range, run, smooth, width }: Wanted, signal: AbortSignal): Promise<Series> =>
  ask(
    `api/series?${
      query({
        run,
        key: keys,
        x: axis,
        from: range?.[0],
        to: range?.[1],
        width,
        smooth: smooth || undefined,
        fine: fine ? 1 : undefined
      })
    }`,
    signal
  )

/** The server does it: some expressions take for ever, and it knows how to stop. */
export const filter = (ids: ReadonlyArray<string>, pattern: string): Promise<Filtered> =>
  ask(`api/filter?${query({ run: ids, pattern })}`)

export const ranks = (id: string, signal: AbortSignal): Promise<Ranks> => ask(`api/ranks?${query({ run: id })}`, signal)

export const report = (id: string, signal: AbortSignal): Promise<Report> =>
  ask(`api/report?${query({ run: id })}`, signal)

export const csvPath = (run: string, keys: ReadonlyArray<string>): string => `csv?${query({ run, key: keys })}`

export const filePath = (run: string, path: string): string => `file?${query({ run, path })}`

/**
 * Listens until it is told to stop, as long as the page is seen: a browser has six connections to a host, for all its
 * tabs. A lost connection is made again, by the browser itself; whoever listens anew is told how each run is by now.
 */
export const events = (
  ids: ReadonlyArray<string>,
  on: { readonly change: (change: Change) => void; readonly connected: (connected: boolean) => void }
): () => void => {
  let source: EventSource | undefined
  const stop = (): void => {
    source?.close()
    source = undefined
  }
  const listen = (): void => {
    source = new EventSource(`api/events?${query({ run: ids })}`)
    source.addEventListener("change", (event: MessageEvent<string>) => on.change(JSON.parse(event.data)))
    source.addEventListener("open", () => on.connected(true))
    source.addEventListener("error", () => on.connected(false))
  }
  const follow = (): void => {
    if (document.visibilityState === "hidden") stop()
    else if (source === undefined) listen()
  }
  document.addEventListener("visibilitychange", follow)
  follow()
  return () => {
    document.removeEventListener("visibilitychange", follow)
    stop()
  }
}
