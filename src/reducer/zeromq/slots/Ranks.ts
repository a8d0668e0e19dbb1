/**
 * What a reduction knows of a rank.
 *
 * @since 0.5.2
 */

export interface Rank {
  live: boolean
  joined: boolean
  /** It has said something, in whatever life. */
  begun: boolean
  incarnation: number
  /** The sender it is heard through. */
  via: number
  /** Its latest step in each domain. */
  readonly latest: [number, number]
  /** How often it went back to an earlier step. */
  wentBack: number
  /** When it last said something in each domain. */
  readonly progressAt: [number, number]
  /** Up to these steps it may say again what it has said through another sender. */
  readonly again: [number, number]
}

/** One that nobody has heard of. */
export const unheard = (index: number): Rank => ({
  live: false,
  joined: false,
  begun: false,
  incarnation: 0,
  via: index,
  latest: [-Infinity, -Infinity],
  wentBack: 0,
  progressAt: [-Infinity, -Infinity],
  again: [-Infinity, -Infinity]
})

/** It has come to a step. */
export const progress = (rank: Rank, domain: 0 | 1, step: number, now: number): void => {
  rank.begun = true
  if (step < rank.latest[domain]) rank.wentBack++
  rank.latest[domain] = step
  rank.progressAt[domain] = now
}
