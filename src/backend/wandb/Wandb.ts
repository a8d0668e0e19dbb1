/**
 * The wandb backend: W&B online, offline in its own files, or nowhere, as the environment says (Settings.ts).
 *
 * A run may change its mode from one start to the next. What a mode remembers is of no use to another, so the one that
 * comes new to a run wants all records from the first: a run that was recorded offline, or disabled, is delivered whole
 * by `WANDB_MODE=online ezpz-stream sync RUN`.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Backend from "../../Backend.ts"
import * as Offline from "./Offline.ts"
import * as Online from "./Online.ts"
import * as Settings from "./Settings.ts"

export { describe } from "./Settings.ts"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts the wandb backend.
 *
 * @category constructors
 * @since 0.2.0
 */
export const factory = (
  context: Backend.Context
): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = yield* Settings.load(context)
    for (const warning of settings.warnings) yield* Effect.logWarning(warning)
    const { mode } = settings
    const kept = Option.getOrUndefined(Schema.decodeUnknownOption(Kept)(context.checkpoint))
    const changed = context.checkpoint !== undefined && kept?.mode !== mode
    const backend = yield* start({ ...context, checkpoint: changed ? undefined : kept?.state }, settings)
    return {
      ...backend,
      restart: backend.restart || (changed && mode !== "disabled"),
      checkpoint: Effect.map(backend.checkpoint, (state): typeof Kept.Type => ({ mode, state }))
    }
  })

const Kept = Schema.Struct({
  mode: Schema.Literals(["online", "offline", "disabled"]),
  state: Schema.Unknown
})

const start = (
  context: Backend.Context,
  settings: Settings.Settings
): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> => {
  switch (settings.mode) {
    case "disabled":
      return Effect.succeed(disabled)
    case "offline":
      return Offline.make(context, settings)
    case "online": {
      const obstacle = Settings.obstacle(settings)
      return obstacle === undefined
        ? Online.make(context, settings)
        : Effect.fail(
          new Backend.BackendError({
            backend: "wandb",
            operation: "start",
            cause: new Error(obstacle),
            kind: "settings",
            permanent: true
          })
        )
    }
  }
}

/** Takes everything, and does nothing with it. */
const disabled: Backend.Backend = Backend.make({ name: "wandb", log: () => {} })
