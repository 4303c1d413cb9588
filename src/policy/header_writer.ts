/** Writes a changed copy of a header block, most of which are ranges of the block itself. */
export class HeaderWriter {
  readonly #block: Uint8Array;
  #bytes: Uint8Array;
  #length = 0;

  /** Starts with the first `head` bytes of `block`. */
  constructor(block: Uint8Array, head: number) {
    this.#block = block;
    this.#bytes = new Uint8Array(block.length + 64);
    this.copy(0, head);
  }

  /** Writes the block's bytes `[from, to)`. */
  copy(from: number, to: number): void {
    const bytes = this.#room(to - from);
    const block = this.#block;
    for (let i = from; i < to; i++) bytes[this.#length++] = block[i] as number;
  }

  /** Writes other bytes. */
  write(text: Uint8Array): void {
    this.#room(text.length).set(text, this.#length);
    this.#length += text.length;
  }

  /** What is written so far. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(length: number): Uint8Array {
    if (this.#length + length > this.#bytes.length) {
      const larger = new Uint8Array((this.#length + length) * 2);
      larger.set(this.written());
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}
