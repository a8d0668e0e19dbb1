import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Delivery from "../../../src/backend/mlflow/Delivery.ts"
import { HttpError } from "../../../src/internal/http.ts"

const refusal = (status = 400, code = "INVALID_PARAMETER_VALUE", message = "no") =>
  new HttpError({
    method: "POST",
    url: "/",
    kind: `HTTP ${status}`,
    detail: message,
    status,
    body: JSON.stringify({ error_code: code, message })
  })

const server = (bad: ReadonlySet<number>, error = refusal()) => {
  const taken: Array<number> = []
  return {
    taken,
    request: (entries: ReadonlyArray<number>) =>
      Effect.suspend(() => {
        if (entries.some((entry) => bad.has(entry))) return Effect.fail(error)
        taken.push(...entries)
        return Effect.void
      })
  }
}

describe("entries of which some are refused", () => {
  it.effect("all others are sent, once and in order, and the refused are known", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(fc.uniqueArray(fc.nat(40), { minLength: 1 }), fc.nat(40), (bad, size) => {
        const entries = Array.from({ length: size }, (_, i) => i)
        const { request, taken } = server(new Set(bad))
        const good = entries.filter((entry) => !bad.includes(entry))
        return Effect.runPromise(Effect.gen(function*() {
          const result = yield* Effect.result(Delivery.send(entries, request))
          assert.deepStrictEqual(taken, good)
          if (result._tag === "Failure") assert.isTrue(good.length === 0 && size > 0)
          else {
            assert.deepStrictEqual(
              result.success.map(({ entry }) => entry),
              entries.filter((entry) => bad.includes(entry))
            )
          }
        }))
      }))
    ))

  it.effect("nothing is left out for any other failure", () =>
    Effect.gen(function*() {
      for (const error of [refusal(500, "INTERNAL_ERROR"), refusal(404), refusal(400, "PERMISSION_DENIED")]) {
        const { request, taken } = server(new Set([3]), error)
        assert.strictEqual(yield* Effect.flip(Delivery.send([1, 2, 3], request)), error)
        assert.deepStrictEqual(taken, [])
      }
    }))

  it.effect("nothing is sent in parts where it is not the entries that are wrong", () =>
    Effect.gen(function*() {
      let requests = 0
      const error = yield* Effect.flip(Delivery.send(
        Array.from({ length: 1000 }, (_, i) => i),
        () => Effect.suspend(() => Effect.fail(refusal(400, "INVALID_PARAMETER_VALUE", `${++requests}`))),
        Effect.fail("the run was deleted")
      ))
      assert.strictEqual(error, "the run was deleted")
      assert.strictEqual(requests, 1)
    }))

  it.effect("what a database has already counts as taken", () =>
    Effect.gen(function*() {
      const there = refusal(500, "INTERNAL_ERROR", "(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key")
      const { request, taken } = server(new Set([1, 2]), there)
      assert.deepStrictEqual(yield* Delivery.send([1, 2, 3], request), [])
      assert.deepStrictEqual(taken, [3])
      assert.deepStrictEqual(yield* Delivery.send([1], request), [])
    }))
})
