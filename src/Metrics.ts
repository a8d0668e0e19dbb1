/**
 * A record of metrics: what a training job says about one step.
 *
 * The rules, which hold for a line on standard input, for an object handed to `update` and for a line of the run log:
 *
 * - A value is a number, a boolean, a string, `null` ("no value here"), or an array of numbers: one dimension is
 *   chains, two are chains x leapfrogs. Any other array is kept as its JSON text.
 * - Nested objects flatten, their keys joined with `/`. Two keys that flatten to one name are told apart by `_2`, `_3`.
 * - `NaN` and the infinities are data. They are read bare, as Python's json writes them, or as the strings `"NaN"`,
 *   `"Infinity"`, `"-Infinity"`, and are written as those strings.
 * - Integers beyond 2^53 keep their digits in the text; as a value they are the nearest double.
 * - The group of a key is what stands before its first `/`; a key without one belongs to the empty group.
 * - The step is the caller's, else the first of `step`, `_step`, `global_step`, `iteration`, `iter` that is a finite
 *   number. The first two are then no metrics any more; the last three stay.
 *
 * A decoded record carries both its values and its JSON text, so that a line that came as JSON is written to the run
 * log as it came: numbers are formatted once, by whoever measured them.
 *
 * @since 0.1.0
 */
export { decode, decodeLine, restoreNonFinite } from "./metrics/Decode.ts"
export * from "./metrics/Model.ts"
export { encode, numberText } from "./metrics/Text.ts"
