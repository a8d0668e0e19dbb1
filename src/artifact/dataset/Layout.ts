/**
 * What a group's dataset looks like: its dimensions, and the dimensions of its variables.
 *
 * A dimension has one size in a file. Vectors and matrices of a group need not be equally long, and two extents are
 * two axes: the largest is `chain` (or `leapfrog`), another one of 12 is `chain_12`. Padding the shorter ones with NaN
 * instead would pass off 12 layers as 128 chains. A metric that is called like such a dimension keeps its name, and
 * the dimension gets a trailing `_`.
 *
 * @since 0.1.0
 */
import * as Census from "../../Census.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** The shape of one file. `variables` are the numeric ones of the group, in its order. */
export interface Layout {
  readonly draws: number
  readonly dimensions: ReadonlyArray<Dimension>
  readonly variables: ReadonlyArray<Placed>
}

/** An axis beside `draw`. */
export interface Dimension {
  readonly name: string
  readonly size: number
}

/** A variable with its dimensions, `draw` first. */
export interface Placed {
  readonly variable: Census.Variable
  readonly dimensions: ReadonlyArray<string>
  readonly shape: ReadonlyArray<number>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** The layout of a group of which warm-up leaves `draws` draws. */
export const make = (group: Census.Group, draws: number): Layout => {
  const numeric = group.variables.filter(Census.isNumeric)
  const taken = new Set(numeric.map((variable) => variable.name))
  const chains = axis("chain", numeric.map((variable) => variable.chains), taken)
  const leapfrogs = axis("leapfrog", numeric.map((variable) => variable.leapfrogs), taken)
  return {
    draws,
    dimensions: [...chains.values(), ...leapfrogs.values()],
    variables: numeric.map((variable) => {
      const axes = [chains.get(variable.chains), leapfrogs.get(variable.leapfrogs)].filter((each) => each !== undefined)
      return {
        variable,
        dimensions: ["draw", ...axes.map((each) => each.name)],
        shape: [draws, ...axes.map((each) => each.size)]
      }
    })
  }
}

const axis = (name: string, extents: ReadonlyArray<number>, taken: Set<string>): ReadonlyMap<number, Dimension> => {
  const dimensions = new Map<number, Dimension>()
  const sizes = [...new Set(extents)].filter((size) => size > 0).sort((a, b) => b - a)
  for (const [nth, size] of sizes.entries()) {
    let free = nth === 0 ? name : `${name}_${size}`
    while (taken.has(free)) free += "_"
    taken.add(free)
    dimensions.set(size, { name: free, size })
  }
  return dimensions
}
