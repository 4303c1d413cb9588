/** A queue whose head is taken without moving the rest. */
export class Fifo<T> {
  #items: T[] = [];
  #at = 0;

  /** Items that wait. */
  get length(): number {
    return this.#items.length - this.#at;
  }

  /** The item that was put in last and still waits. */
  get last(): T | undefined {
    return this.length === 0 ? undefined : this.#items.at(-1);
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item out. */
  shift(): T | undefined {
    const item = this.#items[this.#at];
    if (this.length > 0) this.#at++;
    if (this.#at === this.#items.length) {
      this.#items.length = 0;
      this.#at = 0;
    } else if (this.#at > COMPACT_AT) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }

  /** Forgets all items. */
  clear(): void {
    this.#items = [];
    this.#at = 0;
  }
}

/** Places of items that were taken, before they are given back. */
const COMPACT_AT = 4_096;
