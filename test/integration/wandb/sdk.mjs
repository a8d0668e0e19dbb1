// A run of W&B's own client for JavaScript. In a process of its own: its handler of signals ends it.
import { createRequire } from "node:module"

const { default: wandb } = await import(createRequire(import.meta.url).resolve("@wandb/sdk").replace(/cjs$/, "js"))
await wandb.init({ project: "project", config: { lr: 0.1 } })
for (let i = 0; i < 20; i++) wandb.log({ loss: 1 / (i + 1), i })
await wandb.finish()
