/** Statistics across ranks, against what MPI takes for its all-reduce; and with many ranks. One part a file, in ranks/. */
import type { Context } from "./measure.ts"
import * as Beside from "./ranks/beside.ts"
import * as Overhead from "./ranks/overhead.ts"
import * as Producing from "./ranks/producing.ts"
import * as Scale from "./ranks/scale.ts"
import type { Findings } from "./report.ts"

export const title = "statistics across ranks"

export const about =
  "What a rank pays for a record; and how many steps of 32 metrics a second have their statistics at the root in the middle " +
  "of a run whose ranks go as fast as they can, none of them more than 4,096 steps ahead of the statistics: every rank a Node " +
  "process of its own, over the sockets of one host. (Up to 0.5.0 ranks were not held back, and had much of their work " +
  "behind them when the clock began: those figures were too good.) Beside it, in turn, Open MPI's Allreduce of as many " +
  "numbers in C: one, and the four that mean, std, max and min take. MPI " +
  "returns when a step is done, ours lets the training go on; so ours is pipelined, and MPI's is what a step waits. Where " +
  "each of our ranks waits for each step, as in an all-reduce, MPI wins: the table after it says how far.\n\n" +
  "Many ranks: one root in a process of its own takes 10 steps a second of all others, which two processes simulate: real " +
  "producers, a real aggregator for each node, and a real connection to the root (tcp with CURVE) for each aggregator that " +
  "has one; each rank at its own time within the 100 ms. Only from a rank to its aggregator there is a call in place of a " +
  "socket. The root's share of a core is that of all its threads over 12 s after 5 s; lag is from when the last rank recorded " +
  "a step to when it is published, most of which is the 100 ms that a rank waits for more records to make a frame with, and up " +
  "to 50 ms until the root, and each aggregator, looks at what has come; on the way is from when the last frame about it left its rank. 100,000 ranks are " +
  "simulated event by event, with what frames cost in the same run: what a small world and the first one measured differ in, " +
  "and calls without sockets. The same simulation of the worlds that were measured stands beside them. Depth counts the connections from a rank to the " +
  "root.\n\n" +
  "With and without tracking: ranks at once, each with a loop of 100 ms of its thread's time a step (10 steps a second, as " +
  "above), which records 32 metrics a step in one phase of 2 s and none in the next (A B B A; 6 s of 8 ranks), after 2,000 shorter steps: compiled, as in all but " +
  "the first minutes of a training. 8 of them " +
  "on 2 cores take turns, so time that passes says nothing: the measure is the time on a processor that the loop's thread " +
  "takes beside the step itself, which holds all that the library does in it (update, sending, acknowledgements, garbage " +
  "collection; of rank 0 log, csv and reduction, too), with tracking less without. Other threads are ZeroMQ's and the " +
  "collector's. An update is the median of single calls, as time passes. Where 8 share 2 cores a step takes four times as " +
  "long, with four times as much of what happens by the clock, and each begins with caches that others have filled: more " +
  "than where each has a core."

export const measure = async (context: Context): Promise<Findings> => {
  const parts = [Producing.measure(context)]
  for (const part of [Beside, Scale, Overhead]) parts.push(await part.measure(context))
  return {
    tables: parts.flatMap(({ tables }) => tables),
    checks: parts.flatMap(({ checks }) => checks)
  }
}
