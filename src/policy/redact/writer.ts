/** Bytes of a replacement while it is written: grows as needed, and is used again for the next one. */
import { escapeString } from "./text.ts";

const QUOTE = 0x22;
const STAR = 0x2a;
const START_BYTES = 256;

export class Writer {
  /** What is written is `bytes[0, length)`. Replaced when it must grow. */
  bytes = new Uint8Array(START_BYTES);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  /** The quote that begins or ends a string. */
  quote(): void {
    this.#room(1);
    this.bytes[this.length++] = QUOTE;
  }

  stars(count: number): void {
    this.#room(count);
    for (let i = 0; i < count; i++) this.bytes[this.length++] = STAR;
  }

  /** ASCII that stands in a string as it is. */
  ascii(text: string): void {
    this.#room(text.length);
    for (let i = 0; i < text.length; i++) this.bytes[this.length++] = text.charCodeAt(i);
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** UTF-8 text `[from, to)` as a part of a string. */
  escaped(text: Uint8Array, from: number, to: number): void {
    this.#room((to - from) * 6);
    this.length = escapeString(text, from, to, this.bytes, this.length);
  }

  #room(length: number): void {
    const needed = this.length + length;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(needed * 2);
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
