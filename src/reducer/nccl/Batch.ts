/**
 * Several frames of a rank as one block of bytes, as it goes through a collective.
 *
 * Each frame has its length in front (u32, and four zeros) and is filled up to a multiple of 8 bytes, so that a frame is
 * read where it lies. What does not hold together is cut off: frames that do not arrive are sent again.
 *
 * @since 0.4.0
 */

/**
 * How many bytes a frame takes in a block.
 *
 * @category sizes
 * @since 0.4.0
 */
export const bytesOf = (frame: Uint8Array): number => 8 + Math.ceil(frame.length / 8) * 8

/**
 * @category encoding
 * @since 0.4.0
 */
export const pack = (frames: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + bytesOf(frame), 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const frame of frames) {
    view.setUint32(at, frame.length, true)
    bytes.set(frame, at + 8)
    at += bytesOf(frame)
  }
  return bytes
}

/**
 * The frames of a block, as views of it.
 *
 * @category decoding
 * @since 0.4.0
 */
export const unpack = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: Array<Uint8Array> = []
  for (let at = 0; at + 8 <= bytes.length;) {
    const frame = bytes.subarray(at + 8, at + 8 + view.getUint32(at, true))
    if (frame.length !== view.getUint32(at, true)) break
    frames.push(frame)
    at += bytesOf(frame)
  }
  return frames
}
