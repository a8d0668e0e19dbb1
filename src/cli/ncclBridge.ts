/**
 * `ezpz-stream nccl-bridge`: the process that a rank starts beside it to reach a GPU's libraries. It is not for people: it
 * takes what it does from file descriptor 3, and ends with whoever has the other end.
 */
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Bridge from "../reducer/nccl/Bridge.ts"
import { endWithParent } from "../reducer/nccl/engine/Library.ts"
import { open } from "../reducer/nccl/engine/open.ts"

export const main = async (): Promise<number> => {
  // What is meant for the terminal's programs is not for this one: it ends with its rank.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {})
  if (!isSocket(3)) {
    process.stderr.write("ezpz-stream nccl-bridge is started by a rank, with a socket as file descriptor 3.\n")
    return 2
  }
  await Bridge.serve(new Net.Socket({ fd: 3 }), async (opening) => {
    // Without what calls libraries nothing can hang in one.
    await endWithParent().catch(() => {})
    return open(opening, process.env)
  })
  return 0
}

const isSocket = (fd: number): boolean => {
  try {
    return Fs.fstatSync(fd).isSocket()
  } catch {
    return false
  }
}
