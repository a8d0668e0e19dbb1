/** How long the command line takes to say anything. */
import { alternate, command, type Context, spread, wall } from "./measure.ts"
import { atMost, type Findings, ratio, times } from "./report.ts"

export const title = "start-up"

export const about = "`ezpz-stream --help` against `node -e 0`, whole processes, taken in turn. " +
  "Node keeps compiled code for the next start: the median is of starts that find it."

export const measure = async ({ quick }: Context): Promise<Findings> => {
  const { help, node } = await alternate(quick ? 5 : 15, {
    node: () => wall(["-e", "0"]),
    help: () => wall([command, "--help"])
  })
  const [bare, ours] = [spread(node), spread(help)]
  return {
    tables: [{
      columns: ["process", "time", "ratio"],
      rows: [["node -e 0", times(bare), ratio(1)], [
        "ezpz-stream --help",
        times(ours),
        ratio(ours.median / bare.median)
      ]]
    }],
    checks: [atMost("within 4x of a bare node", ours.median / bare.median, 4, ratio)]
  }
}
