/** When what comes is read: everything that needs a process to wake up is done at the same time. */
export class Pulse {
  #next = Promise.withResolvers<void>()

  /** Until the next beat. */
  next(): Promise<void> {
    return this.#next.promise
  }

  beat(): void {
    this.#next.resolve()
    this.#next = Promise.withResolvers()
  }
}
