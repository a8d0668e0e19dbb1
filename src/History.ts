/**
 * The history of a run: what a program records its metrics with.
 *
 * A record goes one way: it is decoded, appended to the run log, reduced across ranks, and told to the backends; what
 * is given back (a line for the console, a {@link Tracked}) exists only once the log has the record. `finalize` reads
 * the log again and makes everything else of it.
 *
 * `make` is for programs that call `update`, `track`, `run` and `finalizeSink` are for streams.
 *
 * @since 0.1.0
 */
export { describe as describeBackend, known as knownBackends, local as localBackends } from "./history/Backends.ts"
export { here as environment } from "./history/Environment.ts"
export { make } from "./history/Make.ts"
export * from "./history/Model.ts"
export { makeRunId, projectFrom } from "./history/Place.ts"
export { describe as describeRanks } from "./history/Ranks.ts"
export { finalizeSink, run, track } from "./history/Streams.ts"
