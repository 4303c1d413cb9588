/**
 * The reusable memory of a redactor: one buffer that holds a copy of the payload, a zero byte behind it (no JSON text
 * holds one, so scanning needs no bounds checks), and behind that the redacted payload as it is written.
 */

const START_BYTES = 16 * 1024;
/** A buffer that one large payload made larger than this is given back afterwards. */
const KEEP_BYTES = 4 * 1024 * 1024;

export class Workspace {
  /** The payload, a zero byte, then the output. Replaced when it must grow: read it again after every edit. */
  bytes = new Uint8Array(START_BYTES);
  /** The same memory, four bytes at a time. */
  words = new Int32Array(this.bytes.buffer);
  /** How many edits were made. */
  edits = 0;
  /** Unescaped text goes here. */
  text = new Uint8Array(256);

  #outputStart = 0;
  #outputEnd = 0;
  /** The payload is copied to the output up to here. */
  #copied = 0;
  #length = 0;

  /** Starts over with a payload. */
  load(data: Uint8Array): void {
    const length = data.length;
    if (this.bytes.length > KEEP_BYTES && length * 3 + 64 < START_BYTES) this.#resize(START_BYTES, 0);
    if (length + 64 > this.bytes.length) this.#resize(length * 3 + 64, 0);
    this.bytes.set(data);
    this.bytes[length] = 0;
    this.#length = length;
    // Behind the payload's end and its word's padding.
    this.#outputStart = (length + 8) & ~7;
    this.#outputEnd = this.#outputStart;
    this.#copied = 0;
    this.edits = 0;
  }

  /** Leaves out the payload's bytes `[from, to)`. Edits come in the order of the payload. */
  cut(from: number, to: number): void {
    this.#copyUpTo(from);
    this.#copied = to;
  }

  /** Writes `bytes[0, length)` in place of the payload's bytes `[from, to)`. */
  replace(from: number, to: number, bytes: Uint8Array, length: number): void {
    this.edits++;
    this.#copyUpTo(from);
    this.#copied = to;
    const at = this.#outputEnd;
    this.#reserve(length);
    const target = this.bytes;
    for (let i = 0; i < length; i++) target[at + i] = bytes[i] as number;
    this.#outputEnd = at + length;
  }

  /** Length of the output so far, in bytes. */
  get outputLength(): number {
    return this.#outputEnd - this.#outputStart;
  }

  /** The redacted payload, in memory of its own. */
  finish(): Uint8Array {
    this.#copyUpTo(this.#length);
    return this.bytes.slice(this.#outputStart, this.#outputEnd);
  }

  /** Room for `length` bytes of unescaped text. */
  textRoom(length: number): Uint8Array {
    if (this.text.length < length) this.text = new Uint8Array(length * 2);
    return this.text;
  }

  #copyUpTo(end: number): void {
    const from = this.#copied;
    const length = end - from;
    if (length <= 0) return;
    this.#reserve(length);
    const at = this.#outputEnd;
    const bytes = this.bytes;
    // A call costs more than a short loop.
    if (length < 24) for (let i = 0; i < length; i++) bytes[at + i] = bytes[from + i] as number;
    else bytes.copyWithin(at, from, end);
    this.#outputEnd = at + length;
  }

  #reserve(length: number): void {
    const needed = this.#outputEnd + length;
    if (needed > this.bytes.length) this.#resize(needed * 2, this.#outputEnd);
  }

  #resize(length: number, keep: number): void {
    const larger = new Uint8Array((Math.max(length, START_BYTES) + 7) & ~7);
    larger.set(this.bytes.subarray(0, keep));
    this.bytes = larger;
    this.words = new Int32Array(larger.buffer);
  }
}
