/**
 * ZeroMQ, loaded when it is needed: a run of one rank never pays for it, and where there is no build of it for a
 * platform, only the reduction is missing.
 *
 * All sockets are in a context of our own: its `inproc` names, among them that of the one who admits peers, cannot
 * collide with those of a program that uses ZeroMQ, too.
 */
import type { Context } from "zeromq"
import type * as Zmq from "zeromq"

export type Library = typeof Zmq

/** libzmq's own default of 1023 is less than a root with a socket for each of many ranks in one process needs. */
const mostSockets = 65_535

let loaded: Promise<{ readonly zmq: Library; readonly context: Context }> | undefined

export const load = (): Promise<{ readonly zmq: Library; readonly context: Context }> =>
  loaded ??= import("zeromq").then((zmq) => ({ zmq, context: new zmq.Context({ maxSockets: mostSockets }) }))
