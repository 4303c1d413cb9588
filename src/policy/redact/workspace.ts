/**
 * The reusable memory of a redactor: a copy of the payload with a zero byte behind it (no JSON text holds one, so scanning
 * needs no bounds checks). The redacted payload is written over the part of the copy that is already read, and where it is
 * longer than that, behind the payload.
 */

const START_BYTES = 16 * 1024;
/** A buffer that large payloads made larger than this is given back when small ones follow. */
const KEEP_BYTES = 4 * 1024 * 1024;
/** Below this a loop is faster than a call of `copyWithin`. */
const LOOP_BYTES = 32;

export class Workspace {
  /** The payload and a zero byte. Replaced when it must grow: read it again after every edit. */
  bytes = new Uint8Array(START_BYTES);
  /** The same memory, four bytes at a time. */
  words = new Int32Array(this.bytes.buffer);
  /** How many values were removed or replaced. */
  edits = 0;

  #length = 0;
  /** The output is `[outputFrom, outputTo)`. */
  #outputFrom = 0;
  #outputTo = 0;
  /** The payload is in the output up to here, but for what was edited. */
  #taken = 0;
  #text = new Uint8Array(256);

  /** Starts over with a payload. */
  load(data: Uint8Array): void {
    const length = data.length;
    if (this.bytes.length > KEEP_BYTES && length < START_BYTES) this.#resize(START_BYTES, 0);
    if (length >= this.bytes.length) this.#resize(length * 2, 0);
    this.bytes.set(data);
    this.bytes[length] = 0;
    this.#length = length;
    this.#outputFrom = 0;
    this.#outputTo = 0;
    this.#taken = 0;
    this.edits = 0;
  }

  /** Leaves out the payload's bytes `[from, to)`, which are read. Edits come in the order of the payload. */
  cut(from: number, to: number): void {
    this.#take(from);
    this.#taken = to;
  }

  /** Writes `text[0, length)` in place of the payload's bytes `[from, to)`, which are read. */
  replace(from: number, to: number, text: Uint8Array, length: number): void {
    this.edits++;
    this.#take(from);
    this.#taken = to;
    this.#makeRoom(length, to);
    const bytes = this.bytes;
    const at = this.#outputTo;
    for (let i = 0; i < length; i++) bytes[at + i] = text[i] as number;
    this.#outputTo = at + length;
  }

  /** Length of the output so far, in bytes. */
  get outputLength(): number {
    return this.#outputTo - this.#outputFrom;
  }

  /** The redacted payload, in memory of its own. */
  finish(): Uint8Array {
    this.#take(this.#length);
    return this.bytes.slice(this.#outputFrom, this.#outputTo);
  }

  /** Scratch for `length` bytes of text. */
  textRoom(length: number): Uint8Array {
    if (this.#text.length < length) this.#text = new Uint8Array(length * 2);
    return this.#text;
  }

  /** Takes the payload over to the output, up to `end`. */
  #take(end: number): void {
    const from = this.#taken;
    const length = end - from;
    this.#makeRoom(length, end);
    const at = this.#outputTo;
    this.#outputTo = at + length;
    if (at === from) return;
    const bytes = this.bytes;
    if (length < LOOP_BYTES) for (let i = 0; i < length; i++) bytes[at + i] = bytes[from + i] as number;
    else bytes.copyWithin(at, from, end);
  }

  /** Room for `length` more bytes of output, the payload being read up to `read`. */
  #makeRoom(length: number, read: number): void {
    const behind = this.#length + 1;
    const needed = this.#outputTo + length;
    if (this.#outputFrom === 0 && needed <= read) return;
    if (this.#outputFrom === 0) {
      const written = this.#outputTo;
      if (behind + needed > this.bytes.length) this.#resize((behind + needed) * 2, this.#length + 1);
      this.bytes.copyWithin(behind, 0, written);
      this.#outputFrom = behind;
      this.#outputTo = behind + written;
    } else if (needed > this.bytes.length) {
      this.#resize(needed * 2, this.#outputTo);
    }
  }

  #resize(length: number, keep: number): void {
    // Whole words.
    const larger = new Uint8Array((Math.max(length, START_BYTES) + 3) & ~3);
    larger.set(this.bytes.subarray(0, keep));
    this.bytes = larger;
    this.words = new Int32Array(larger.buffer);
  }
}
