/** First in, first out: without moving what is in it each time. */
export class Queue<A> {
  #items: Array<A | undefined> = []
  #first = 0

  get size(): number {
    return this.#items.length - this.#first
  }

  first(): A | undefined {
    return this.#items[this.#first]
  }

  push(item: A): void {
    this.#items.push(item)
  }

  shift(): A | undefined {
    const item = this.#items[this.#first]
    if (this.#first < this.#items.length) this.#items[this.#first++] = undefined
    if (this.#first >= 1024 && this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }

  *[Symbol.iterator](): Generator<A> {
    for (let i = this.#first; i < this.#items.length; i++) yield this.#items[i]!
  }
}
