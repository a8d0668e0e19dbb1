/**
 * What ranks say to one another, as bytes: the codec of the reduction. docs/protocol.md is the specification.
 *
 * The rules:
 *
 * - A frame is a header of 64 bytes and a payload; numbers are little endian; a frame fills its message part exactly.
 * - Magic, major version and the checksum (CRC-32 of the whole frame) come first. What does not match is refused before
 *   anything else is looked at. Another major version is refused by name; a type that is not known is told as `unknown`
 *   and skipped.
 * - Everything in a payload lies at multiples of 8 bytes, in columns: all steps, all domains, all presence bits, all
 *   values. So a frame that was received is read where it lies, without a copy, unless its buffer is not aligned.
 * - No byte string makes {@link decode} throw, or allocate more than a small multiple of its length: every size is
 *   checked against the length before it is used.
 * - What is encoded is fresh memory, unless the caller has some: a message that was sent may still be read by the
 *   sender's transport, and must not be written to before its receiver has acknowledged it.
 *
 * @since 0.3.0
 */
export { decode } from "./frame/Decode.ts"
export {
  aggregateBytes,
  encodeAggregate,
  encodeBody,
  encodeLeaf,
  encodeSchema,
  encodeSignal,
  entryBytes,
  leafBytes,
  type Memory
} from "./frame/Encode.ts"
export * from "./frame/Model.ts"
