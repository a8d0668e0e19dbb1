/** Looking at runs, in a browser and in a terminal. One part a file, in view/. */
import type { Context } from "./measure.ts"
import type { Findings } from "./report.ts"
import * as Page from "./view/page.ts"
import * as Terminal from "./view/terminal.ts"

export const title = "looking at runs"

export const about =
  "`ezpz-stream serve` with headless Chromium on the same machine, the server started anew each time. First chart: from the " +
  "page's `load` event until the first curve with its values is drawn, its log never read before; until all of the log has " +
  "been read the page shows lines from all over it. Live: from a line's write to the run's log until its value stands in the " +
  "page. Memory is the kernel's peak of the server's resident set, after all of the log has been read and looked at.\n\n" +
  "`ezpz-stream watch` in a terminal (tmux), with a run that goes on with 10 records a second: the share of a core that all " +
  "its threads take over 10 s, after 5 s; the terminal's own work is not in it."

export const measure = async (context: Context): Promise<Findings> => {
  const page = await Page.measure(context)
  const terminal = await Terminal.measure(context)
  return { tables: [...page.tables, ...terminal.tables], checks: [...page.checks, ...terminal.checks] }
}
