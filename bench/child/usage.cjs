// Loaded into a measured process (--require): on its way out it tells what it used, as one line of JSON on descriptor 3.
"use strict"

if (require("node:worker_threads").isMainThread) {
  process.on("exit", () => {
    const { maxRSS, systemCPUTime, userCPUTime } = process.resourceUsage()
    const told = JSON.stringify({ cpu: (userCPUTime + systemCPUTime) / 1e6, rss: maxRSS * 1024 })
    try {
      require("node:fs").writeSync(3, told)
    } catch {
      // Nobody measures a process of the process.
    }
  })
}
