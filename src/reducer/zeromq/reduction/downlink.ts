/**
 * Those below: who they are, whether they are there, and what they are told. The root has it, and so has an aggregator.
 *
 * - A sender is known from its hello on, by its incarnation: frames of an earlier life are dropped, and so is the hello of
 *   one that was thought dead, unless the later life is not heard of any more.
 * - An aggregator passes on the hello and the bye of its ranks, with their rank and life in the header, and again after each
 *   welcome: whom it does not name then is gone.
 * - A rank (or an aggregator with its ranks) goes from one way to the next, and never back. So a rank that says hello by
 *   itself, which an aggregator has spoken for, makes that begin anew: nobody knows what it has said of it. So does an
 *   aggregator that speaks for a rank that has come by itself: it has not heard that it is gone.
 * - A sender is not waited for when it has said goodbye, when its connection is gone for a while, or when nothing is heard
 *   of it; nor are the ranks it speaks for. Whatever comes from it brings it back, but for one that has said goodbye: what
 *   follows is another run's.
 * - The last acknowledgement is sent again after a second: as a sign of life, and since one may be lost.
 * - At the end everybody is told, and so is a sender whose connection was broken then and that comes back in time.
 */
import * as Frame from "../Frame.ts"
import type { Downlink, Heard, Life, Options, Sender } from "./downlink/Model.ts"
import { SpokenFor } from "./downlink/SpokenFor.ts"
import { Telling } from "./downlink/Telling.ts"
import { askMillis, farewellMillis, heartbeatMillis, isBefore, silentMillis, unreachableMillis } from "./options.ts"

export type { Downlink, Options } from "./downlink/Model.ts"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const make = (options: Options): Downlink => new Impl(options)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const mostEarly = 4096

class Impl implements Downlink {
  readonly #options: Options
  readonly #tell: Telling
  readonly #senders = new Map<number, Sender>()
  readonly #spoken = new SpokenFor()
  /** The aggregators, by the connection they come through. */
  readonly #aggregators = new Map<string, number>()
  /** Hellos that came too early. */
  readonly #early = new Map<string, Frame.Frame>()
  /** What aggregators said that have to begin anew is over, whatever they say in that life: which, and for whose sake. */
  readonly #over = new Map<number, { readonly incarnation: number; readonly gone: Life }>()
  /** Since when those have asked that are to go elsewhere. */
  readonly #asking = new Map<string, number>()
  #refused = 0
  #tookAt: number
  #ended = false

  constructor(options: Options) {
    this.#options = options
    this.#tell = new Telling(options)
    this.#tookAt = options.now()
  }

  readonly tookAt = (): number => this.#tookAt

  readonly refused = (): number => this.#refused

  readonly peerOf: Downlink["peerOf"] = (rank) => this.#senders.get(rank)?.peer

  readonly receive: Downlink["receive"] = (batch) => {
    for (const { frame: bytes, peer } of batch) {
      const frame = Frame.decode(bytes, this.#options.job)
      if (Frame.isRefused(frame)) this.#refused++
      else if (!this.#ended || frame.type === "bye") this.#handle(peer, frame)
      // After the end, who comes and is not known is for another run.
      else if (frame.type === "hello") this.#tellAgain(peer, frame, frame.body)
    }
  }

  readonly acknowledge: Downlink["acknowledge"] = (acks) => {
    for (const { sender, seq } of acks) {
      const known = this.#senders.get(sender)
      if (known === undefined) continue
      known.acked = seq
      this.#tell.beat(known)
    }
  }

  readonly tick: Downlink["tick"] = () => {
    const { now, reaches } = this.#options
    const time = now()
    for (const [number, known] of this.#senders) {
      if (time - known.toldAt >= heartbeatMillis) this.#tell.beat(known)
      if (known.skipped && this.#options.full?.() !== true) known.skipped = !this.#ask(number, known)
      if (reaches(known.peer)) known.reachedAt = time
      if (
        known.left || known.away ||
        (time - known.reachedAt <= unreachableMillis && time - known.heardAt <= silentMillis)
      ) continue
      known.away = true
      for (const life of this.#ranksOf(number, known)) this.#lose(life)
    }
    for (const life of this.#spoken.expire(time)) this.#lose(life)
  }

  readonly admit: Downlink["admit"] = () => {
    const early = [...this.#early]
    this.#early.clear()
    for (const [peer, frame] of early) this.#handle(peer, frame)
  }

  readonly shape: Downlink["shape"] = () => {
    const aggregators = [...this.#senders.values()].filter(({ isAggregator }) => isAggregator).length
    return { direct: this.#senders.size - aggregators, spoken: this.#spoken.size, aggregators }
  }

  readonly again: Downlink["again"] = (gone) => {
    const { below, now } = this.#options
    if (gone !== undefined) this.#forget(gone)
    for (const [number, known] of this.#senders) {
      known.skipped = false
      const { away, incarnation, isAggregator, left, rank } = known
      if (isAggregator) below().joinAggregator(number, incarnation)
      else {
        below().join(rank, incarnation, now())
        if (left || away) below().leave(rank)
      }
      this.#tell.welcome(known, 0)
    }
    for (const [rank, { incarnation, left, sender, staleSince }] of this.#spoken) {
      if (staleSince !== undefined) continue
      below().join(rank, incarnation, now(), sender)
      if (left || this.#senders.get(sender)?.away !== false) below().leave(rank)
    }
  }

  readonly farewell: Downlink["farewell"] = () => {
    this.#ended = true
    // They keep for nobody what no record has asked for.
    for (const { peer } of this.#senders.values()) this.#tell.finished(peer)
  }

  readonly present: Downlink["present"] = () => {
    const time = this.#options.now()
    let count = 0
    for (const { gone, heardAt, reachedAt } of this.#senders.values()) {
      if (!gone && time - heardAt < silentMillis && time - reachedAt < farewellMillis) count++
    }
    return count
  }

  readonly ranks: Downlink["ranks"] = () => {
    const { reaches } = this.#options
    const ranks: Array<Heard> = []
    for (const { away, incarnation, isAggregator, left, peer, rank } of this.#senders.values()) {
      if (!isAggregator && (left || !away)) ranks.push({ rank, incarnation, left, reached: reaches(peer) })
    }
    for (const [rank, { incarnation, left, sender, staleSince }] of this.#spoken) {
      const by = this.#senders.get(sender)
      if (by === undefined || staleSince !== undefined || (!left && by.away)) continue
      ranks.push({ rank, incarnation, left, reached: reaches(by.peer) })
    }
    return ranks
  }

  // Frames ---------------------------------------------------------------------

  #handle(peer: string, frame: Frame.Frame): void {
    const { below, now, worldSize } = this.#options
    const { incarnation, rank } = frame
    if (rank === 0 || frame.worldSize !== worldSize) {
      this.#refused++
      return
    }
    const aggregator = this.#aggregators.get(peer)
    if (frame.type === "hello") {
      // One that has been welcomed before names the run that it takes part in.
      const { run } = frame.body
      if (run !== undefined && run !== this.#options.run()) return
      if (this.#options.welcome() === undefined) {
        if (this.#early.size < mostEarly) this.#early.set(peer, frame)
        return
      }
      if (frame.body["aggregator"] === true) this.#helloOfAggregator(peer, frame, frame.body)
      else if (aggregator === undefined) this.#hello(peer, rank, incarnation)
      else this.#passedOn(aggregator, rank, incarnation)
      return
    }
    const number = aggregator ?? rank
    const known = this.#senders.get(number)
    if (aggregator !== undefined && frame.type === "bye" && frame.body["aggregator"] !== true) {
      if (known !== undefined) this.#passedBye(aggregator, rank, incarnation, frame.body["lost"] === true)
      return
    }
    // From before it said hello, or from a life that is over.
    if (known === undefined || known.incarnation !== incarnation) return
    known.heardAt = now()
    // After its goodbye something may come again that was lost on the way.
    if (known.away && !known.left) {
      known.away = false
      for (const life of this.#ranksOf(number, known)) {
        below().alive(life.rank, now())
        this.#options.came?.(life.rank, life.incarnation)
      }
    }
    switch (frame.type) {
      case "schema":
        return below().schema(number, frame.id, frame.keys, frame.bytes)
      case "leaf":
        if (aggregator !== undefined || this.#skips(known)) return
        if (!below().leaf(rank, frame.seq, frame.schema, frame.records, now())) this.#ask(number, known)
        return
      case "aggregate":
        if (aggregator === undefined || this.#skips(known)) return
        if (!below().aggregate(number, frame.seq, frame.schema, frame.entries, now())) this.#ask(number, known)
        return
      case "carry":
        if (aggregator === undefined) this.#options.carry?.(rank, incarnation, frame.body)
        return
      case "heartbeat":
        return below().floor(number, frame.seq)
      case "bye":
        known.left = true
        known.gone ||= frame.body["settled"] === true
        for (const life of this.#ranksOf(number, known)) {
          below().leave(life.rank)
          this.#options.left?.(life.rank, life.incarnation, false)
        }
    }
  }

  #skips(known: Sender): boolean {
    this.#tookAt = this.#options.now()
    // What comes behind what was not taken is a gap.
    known.skipped ||= this.#options.full?.() === true
    return known.skipped
  }

  #hello(peer: string, rank: number, incarnation: number): void {
    const { below, came, now } = this.#options
    if (!this.#isWelcome(rank, incarnation)) return
    const spoken = this.#spoken.get(rank)
    if (spoken !== undefined) {
      if (spoken.incarnation === incarnation) this.#dismiss(spoken.sender, { rank, incarnation })
      // What follows a goodbye is another run's; and this one may be from before.
      else if (spoken.left || (spoken.staleSince === undefined && isBefore(incarnation, spoken.incarnation))) return
      this.#spoken.delete(rank)
    }
    const seq = below().join(rank, incarnation, now())
    this.#enter(rank, { peer, rank, incarnation, isAggregator: false })
    came?.(rank, incarnation)
    if (seq === undefined) this.#options.anew?.()
    else this.#tell.welcome({ peer, incarnation }, seq)
  }

  #helloOfAggregator(peer: string, { incarnation, rank }: Frame.Frame, body: Frame.JsonObject): void {
    const { below, now, via } = this.#options
    const number = below().aggregatorOf(rank)
    if (!this.#isWelcome(number, incarnation)) return
    const over = this.#over.get(number)
    if (over?.incarnation === incarnation) {
      this.#tell.anew(peer, over.gone)
      return
    }
    const { listens, node } = body
    const asking = this.#asking.get(peer) ?? now()
    // It does not come again from where it was sent to.
    const elsewhere = body["direct"] === true ? undefined : via?.(
      typeof node === "number" ? node : -1,
      Array.isArray(listens) ? listens.filter((one) => typeof one === "string") : [],
      now() - asking
    )
    if (elsewhere !== undefined) {
      this.#asking.set(peer, asking)
      if (elsewhere === "later") return
      // It is heard through others from now on.
      this.#senders.delete(number)
      this.#spoken.makeStale(number, now())
      this.#tell.elsewhere({ peer, incarnation }, elsewhere)
      return
    }
    const seq = below().joinAggregator(number, incarnation)
    this.#spoken.makeStale(number, now())
    this.#aggregators.set(peer, number)
    this.#enter(number, { peer, rank, incarnation, isAggregator: true })
    if (seq === undefined) this.#options.anew?.()
    else this.#tell.welcome({ peer, incarnation }, seq)
  }

  /** An aggregator says that a rank is there. */
  #passedOn(sender: number, rank: number, incarnation: number): void {
    const { below, came, now } = this.#options
    const aggregator = this.#senders.get(sender)
    if (aggregator === undefined) return
    aggregator.heardAt = now()
    const direct = this.#senders.get(rank)
    if (direct !== undefined) {
      if (!isBefore(direct.incarnation, incarnation)) return this.#dismiss(sender, { rank, incarnation })
      if (direct.left) return
      this.#senders.delete(rank)
    }
    const known = this.#spoken.get(rank)
    const isSame = known?.incarnation === incarnation
    if (known !== undefined) {
      if (known.left && !isSame) return
      if (known.staleSince === undefined && isBefore(incarnation, known.incarnation)) {
        if (known.sender !== sender) this.#dismiss(sender, { rank, incarnation })
        return
      }
      if (known.sender !== sender && isSame) this.#dismiss(known.sender, { rank, incarnation })
    }
    const left = isSame && known?.left === true
    const seq = below().join(rank, incarnation, now(), sender)
    this.#spoken.set(rank, { sender, incarnation, left, staleSince: undefined })
    if (left) below().leave(rank)
    else came?.(rank, incarnation)
    if (seq === undefined) this.#options.anew?.()
  }

  #passedBye(sender: number, rank: number, incarnation: number, lost: boolean): void {
    const known = this.#spoken.get(rank)
    if (known?.sender !== sender || known.incarnation !== incarnation) return
    this.#options.below().leave(rank)
    if (lost) this.#spoken.delete(rank)
    else known.left = true
    this.#options.left?.(rank, incarnation, lost)
  }

  /** The last word was lost with a connection, or came to an aggregator that was about to begin anew. */
  #tellAgain(peer: string, { incarnation, rank }: Frame.Frame, body: Frame.JsonObject): void {
    const isAggregator = body["aggregator"] === true && this.#aggregators.has(peer)
    const known = this.#senders.get(isAggregator ? this.#aggregators.get(peer)! : rank)
    if (!isAggregator && known?.incarnation !== incarnation) return
    if (known !== undefined) known.heardAt = this.#options.now()
    this.#tell.welcome({ peer, incarnation }, known?.acked ?? 0)
    this.#tell.finished(peer)
  }

  // Who is there ---------------------------------------------------------------

  #isWelcome(number: number, incarnation: number): boolean {
    const known = this.#senders.get(number)
    if (known === undefined || known.incarnation === incarnation) return true
    if (known.left || this.#options.together === true) return false
    return !isBefore(incarnation, known.incarnation) || this.#options.now() - known.heardAt >= silentMillis
  }

  #enter(number: number, of: Pick<Sender, "peer" | "rank" | "incarnation" | "isAggregator">): void {
    const time = this.#options.now()
    const known = this.#senders.get(number)
    this.#senders.set(number, {
      ...of,
      heardAt: time,
      toldAt: time,
      askedAt: 0,
      reachedAt: time,
      acked: known?.incarnation === of.incarnation ? known.acked : 0,
      skipped: false,
      away: false,
      left: false,
      gone: false
    })
  }

  /** An aggregator is to begin anew, since a rank that it speaks for has come another way. */
  #dismiss(sender: number, gone: Life): void {
    const known = this.#senders.get(sender)
    if (known === undefined) return
    this.#senders.delete(sender)
    this.#over.set(sender, { incarnation: known.incarnation, gone })
    this.#spoken.makeStale(sender, this.#options.now())
    this.#tell.anew(known.peer, gone)
  }

  /** A rank has come another way, of which this one had not heard. */
  #forget(gone: Life): void {
    const { incarnation, rank } = gone
    if (this.#senders.get(rank)?.incarnation === incarnation) this.#senders.delete(rank)
    const spoken = this.#spoken.get(rank)
    if (spoken?.incarnation !== incarnation) return
    this.#spoken.delete(rank)
    this.#dismiss(spoken.sender, gone)
  }

  #lose({ incarnation, rank }: Life): void {
    this.#options.below().leave(rank)
    this.#options.left?.(rank, incarnation, true)
  }

  /** The ranks that come through a sender and have not said goodbye. */
  #ranksOf(number: number, { incarnation, isAggregator, rank }: Sender): ReadonlyArray<Life> {
    return isAggregator ? this.#spoken.by(number) : [{ rank, incarnation }]
  }

  // Telling --------------------------------------------------------------------

  /** What is missing is asked for once, and again only after a while: many may be on their way behind it. */
  #ask(number: number, known: Sender): boolean {
    const { below, now } = this.#options
    if (now() - known.askedAt <= askMillis) return false
    known.askedAt = now()
    const seq = known.isAggregator
      ? below().joinAggregator(number, known.incarnation)
      : below().join(known.rank, known.incarnation, now())
    if (seq !== undefined) this.#tell.welcome(known, seq)
    return true
  }
}
