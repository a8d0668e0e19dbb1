/** What {@link ../downlink.ts} is told, what it does, and what it knows of those below. */
import type { Acknowledgement, Below } from "../../Below.ts"
import type * as Frame from "../../Frame.ts"
import type { Received } from "../../Transport.ts"

export interface Options {
  readonly job: bigint
  readonly worldSize: number
  readonly now: () => number
  readonly send: (peer: string, frame: Uint8Array) => void
  readonly reaches: (peer: string) => boolean
  /** Who this is. */
  readonly origin: () => Frame.Origin
  /** What takes in what they say. */
  readonly below: () => Below
  /** What a welcome says; undefined: nobody is welcome yet. */
  readonly welcome: () => Frame.JsonObject | undefined
  /** The run that a sender must be of, if it names one. */
  readonly run: () => string | undefined
  /** Where an aggregator is to go instead; `undefined`: it stays here. `"later"`: that is not known yet. */
  readonly via?: (
    node: number,
    listens: ReadonlyArray<string>,
    askedFor: number
  ) => ReadonlyArray<string> | "later" | undefined
  /** Ranks are started over all together: a rank's second life is of another run. */
  readonly together?: boolean
  /** A rank is there, or is there again. */
  readonly came?: (rank: number, incarnation: number) => void
  /** A rank is gone: it has said so, or is lost. */
  readonly left?: (rank: number, incarnation: number, lost: boolean) => void
  /** A rank says something of another way for frames. */
  readonly carry?: (rank: number, incarnation: number, body: Frame.JsonObject) => void
  /** `below` cannot go on with what it knows. */
  readonly anew?: () => void
  /** There is no room: what comes is not taken, and asked for later. */
  readonly full?: () => boolean
}

export interface Downlink {
  readonly receive: (batch: ReadonlyArray<Received>) => void
  /** Passes acknowledgements on. */
  readonly acknowledge: (acks: ReadonlyArray<Acknowledgement>) => void
  /** Looks who is there; to be called often. */
  readonly tick: () => void
  /** Those are welcome now that said hello too early. */
  readonly admit: () => void
  /** All are to say again what they keep, to another `below`; but for one that has come another way. */
  readonly again: (gone?: Life) => void
  /** Nothing more is taken: everybody is told. */
  readonly farewell: () => void
  /** Those that have not had the last word, and can have it, if only their connection comes back. */
  readonly present: () => number
  /** Ranks that are there, and those that have said goodbye. */
  readonly ranks: () => ReadonlyArray<Heard>
  /** When something was taken last. */
  readonly tookAt: () => number
  /** How many ranks come by themselves, and how many through how many aggregators. */
  readonly shape: () => { readonly direct: number; readonly spoken: number; readonly aggregators: number }
  /** The connection through which a rank comes by itself. */
  readonly peerOf: (rank: number) => string | undefined
  /** Frames that were refused: of another job, version or world. */
  readonly refused: () => number
}

/** One life of a rank. */
export interface Life {
  readonly rank: number
  readonly incarnation: number
}

/** `reached`: not, if its connection is gone just now: when it is back it says hello. */
export interface Heard extends Life {
  readonly left: boolean
  readonly reached: boolean
}

/** One life of a sender. */
export interface Sender {
  readonly peer: string
  readonly rank: number
  readonly incarnation: number
  readonly isAggregator: boolean
  heardAt: number
  /** When it was told last that we are there. */
  toldAt: number
  askedAt: number
  reachedAt: number
  acked: number
  /** Something of it was not taken, for want of room. */
  skipped: boolean
  /** It was not reached, or not heard, for too long. */
  away: boolean
  /** It has said goodbye: nothing new comes. */
  left: boolean
  /** It has had our last word, or needs none. */
  gone: boolean
}

/** A rank that an aggregator speaks for. `staleSince`: that has begun anew, and has not named it again. */
export interface Spoken {
  readonly sender: number
  readonly incarnation: number
  left: boolean
  staleSince: number | undefined
}
