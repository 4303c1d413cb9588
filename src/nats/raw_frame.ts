/**
 * Assembles HPUB frames of the NATS client protocol in one buffer, as bytes: no text is made for a message.
 * Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
 */
import { Buffer } from "node:buffer";

/** A message to publish, in the parts that it is made of: nothing is joined before it is written. */
export interface RawFrame {
  readonly subject: Uint8Array;
  /** Complete header lines (`Name: value\r\n`): the bytes of this block up to `headTo`. */
  readonly head: Uint8Array;
  readonly headTo: number;
  /** More header lines and the empty line: the bytes of this block from `tailFrom` on. */
  readonly tail: Uint8Array;
  readonly tailFrom: number;
  readonly data: Uint8Array;
}

/** Under this a loop copies faster than `subarray` and `set`. */
const SHORT = 160;
const CR = 13;
const LF = 10;
const SPACE = 32;
const ZERO = 48;
const HPUB = new TextEncoder().encode("HPUB ");
const FENCE = new TextEncoder().encode("NATS/1.0\r\nNats-Expected-Last-Sequence: ");
/** Room for the numbers of the control line. */
const NUMBERS = 40;

/** Bytes that the fence adds to a message's header block, at most. */
export const FENCE_BYTES = FENCE.length + "9007199254740991\r\n".length;

/** How many decimal digits a number has. */
function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes a number of `digits` digits. @returns where it ends */
export function writeDigits(into: Uint8Array, at: number, value: number, digits = digitsOf(value)): number {
  let rest = value;
  let place = at + digits;
  // Integer arithmetic as soon as the number fits: it is many times faster.
  while (rest > 0x3fffffff) {
    const tenth = Math.floor(rest / 10);
    into[--place] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  let small = rest | 0;
  while (place > at) {
    const tenth = (small / 10) | 0;
    into[--place] = ZERO + (small - tenth * 10);
    small = tenth;
  }
  return at + digits;
}

/** Copies the bytes `from` to `to` of a block. @returns where they end */
function writeBytes(into: Uint8Array, at: number, block: Uint8Array, from: number, to: number): number {
  if (to - from > SHORT) {
    into.set(from === 0 && to === block.length ? block : block.subarray(from, to), at);
    return at + to - from;
  }
  let place = at;
  for (let i = from; i < to; i++) into[place++] = block[i] as number;
  return place;
}

/**
 * Frames one after the other, each fenced by the stream's last sequence. `send` gets chunks, which are its own; the last
 * message of each asks for an acknowledgement. Between subject and sizes each frame has blanks in place of the reply
 * subject, which the last one of a chunk gets: several blanks separate as one does.
 */
export class FrameBuffer {
  readonly #chunkBytes: number;
  readonly #reply: Uint8Array;
  readonly #send: (bytes: Uint8Array) => void;
  #bytes: Uint8Array;
  #used = 0;
  /** Where the last frame has room for its reply subject. */
  #slot = 0;

  constructor(chunkBytes: number, reply: string, send: (bytes: Uint8Array) => void) {
    this.#chunkBytes = chunkBytes;
    this.#reply = new TextEncoder().encode(reply);
    this.#send = send;
    this.#bytes = Buffer.allocUnsafeSlow(chunkBytes);
  }

  /** @param expectedLast the stream's last sequence before this message */
  write(frame: RawFrame, expectedLast: number): void {
    const { subject, head, headTo, tail, tailFrom, data } = frame;
    const fenceDigits = digitsOf(expectedLast);
    const headerLength = FENCE.length + fenceDigits + 2 + headTo + tail.length - tailFrom;
    const total = headerLength + data.length;
    const slotLength = this.#reply.length;
    this.#make(HPUB.length + subject.length + slotLength + NUMBERS + total);
    const bytes = this.#bytes;
    let at = writeBytes(bytes, this.#used, HPUB, 0, HPUB.length);
    at = writeBytes(bytes, at, subject, 0, subject.length);
    bytes[at++] = SPACE;
    this.#slot = at;
    for (const end = at + slotLength; at < end; at++) bytes[at] = SPACE;
    bytes[at++] = SPACE;
    at = writeDigits(bytes, at, headerLength);
    bytes[at++] = SPACE;
    at = writeDigits(bytes, at, total);
    bytes[at++] = CR;
    bytes[at++] = LF;
    at = writeBytes(bytes, at, FENCE, 0, FENCE.length);
    at = writeDigits(bytes, at, expectedLast, fenceDigits);
    bytes[at++] = CR;
    bytes[at++] = LF;
    at = writeBytes(bytes, at, head, 0, headTo);
    at = writeBytes(bytes, at, tail, tailFrom, tail.length);
    at = writeBytes(bytes, at, data, 0, data.length);
    bytes[at] = CR;
    bytes[at + 1] = LF;
    this.#used = at + 2;
  }

  /** Sends what is there; its last message asks for an acknowledgement. */
  flush(): void {
    const used = this.#used;
    if (used === 0) return;
    this.#bytes.set(this.#reply, this.#slot);
    this.#used = 0;
    if (used <= this.#chunkBytes / 4) {
      this.#send(new Uint8Array(this.#bytes.subarray(0, used)));
      return;
    }
    const full = this.#bytes.subarray(0, used);
    this.#bytes = Buffer.allocUnsafeSlow(this.#chunkBytes);
    this.#send(full);
  }

  /** Forgets what is not sent. */
  clear(): void {
    this.#used = 0;
  }

  #make(room: number): void {
    if (this.#used + room <= this.#bytes.length) return;
    this.flush();
    if (room > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(room);
  }
}
