/**
 * Who talks to whom, where there are many nodes: up to 1024 of them talk to the root themselves. Beyond, nodes are numbered,
 * and each 64 in a row have their first one to talk to; those again, until at most 1024 are left for the root.
 *
 * Node 0 is the root's own: those that would talk to it talk to the root.
 *
 * With 8 ranks a node that is 8192 ranks without a level between, and half a million with one.
 */

export interface Topology {
  /** So many nodes talk to the root. */
  readonly star: number
  /** So many talk to one of them, itself included, where there are more. */
  readonly fanIn: number
}

export const defaultTopology: Topology = { star: 1024, fanIn: 64 }

/** How many levels there are between a node and the root. */
export const levelsOf = (nodes: number, { fanIn, star }: Topology = defaultTopology): number => {
  let levels = 0
  for (let left = nodes; left > star; left = Math.ceil(left / fanIn)) levels++
  return levels
}

/** The node that a node talks to; undefined: the root. */
export const parentOf = (node: number, nodes: number, topology: Topology = defaultTopology): number | undefined => {
  const { fanIn } = topology
  const levels = levelsOf(nodes, topology)
  for (let level = 0, width = fanIn; level < levels; level++, width *= fanIn) {
    if (node % width !== 0) return node - node % width || undefined
  }
  return undefined
}
