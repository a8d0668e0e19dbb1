/** What is sent first through a new communicator, to see that bytes come as they were sent: all there are. */

export const patternBytes = 1024

export const pattern = (rank: number, epoch: number): Uint8Array => {
  const bytes = new Uint8Array(patternBytes)
  const view = new DataView(bytes.buffer)
  view.setFloat64(0, epoch, true)
  view.setUint32(8, rank, true)
  for (let i = 16; i < patternBytes; i++) bytes[i] = (i * 7 + rank) & 255
  return bytes
}

export const isPattern = (bytes: Uint8Array, rank: number, epoch: number): boolean =>
  Buffer.compare(bytes, pattern(rank, epoch)) === 0
