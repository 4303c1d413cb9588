/**
 * Reads delivered messages straight off the connection's bytes, in place: the client makes a dozen objects for each, which
 * costs more than deciding it. What is not tapped goes on to the client's own parser, whole frames at a time.
 * Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
 */

/** Where the parts of a delivered message are in its chunk of bytes. One object is filled again and again. */
export interface FramePlaces {
  bytes: Uint8Array;
  subjectFrom: number;
  subjectTo: number;
  /** Equal when there is no reply subject. */
  replyFrom: number;
  replyTo: number;
  /** Start of the header block, which ends where the payload starts; equal when there are no headers. */
  headersFrom: number;
  dataFrom: number;
  dataTo: number;
}

const LF = 10;
const SPACE = 32;
const TAB = 9;
const ZERO = 48;
const H = 72;
const M = 77;
const S = 83;
const G = 71;
/** What a server may write in one line of control is far less. */
const MAX_LINE = 16 * 1024;

export class FrameTap {
  readonly #rest: (bytes: Uint8Array) => void;
  readonly #taps = new Map<number, (places: FramePlaces) => void>();
  readonly #places: FramePlaces = {
    bytes: new Uint8Array(0),
    subjectFrom: 0,
    subjectTo: 0,
    replyFrom: 0,
    replyTo: 0,
    headersFrom: 0,
    dataFrom: 0,
    dataTo: 0,
  };
  /** Starts of the line's words; where each ends. */
  readonly #from = new Int32Array(8);
  readonly #to = new Int32Array(8);
  /** The start of a frame whose end is not there yet, and how much of it is filled. */
  #partial: Uint8Array | null = null;
  #filled = 0;
  /** The start of a line of control whose end is not there yet. */
  #line: Uint8Array | null = null;
  /** Length of the last frame that was looked at; -1 when its line has no end yet. */
  #frameLength = 0;

  /** @param rest gets every frame that is not tapped */
  constructor(rest: (bytes: Uint8Array) => void) {
    this.#rest = rest;
  }

  /** Messages of the subscription `sid` go to `take`; the places are good until it returns. */
  tap(sid: number, take: (places: FramePlaces) => void): void {
    this.#taps.set(sid, take);
  }

  untap(sid: number): void {
    this.#taps.delete(sid);
  }

  /** Takes the connection's next bytes. */
  parse(chunk: Uint8Array): void {
    let bytes = chunk;
    let at = 0;
    if (this.#partial !== null) {
      const partial = this.#partial;
      const missing = partial.length - this.#filled;
      if (bytes.length < missing) {
        partial.set(bytes, this.#filled);
        this.#filled += bytes.length;
        return;
      }
      partial.set(bytes.subarray(0, missing), this.#filled);
      this.#partial = null;
      this.#frames(partial, 0);
      at = missing;
    } else if (this.#line !== null) {
      const line = this.#line;
      bytes = new Uint8Array(line.length + chunk.length);
      bytes.set(line);
      bytes.set(chunk, line.length);
      this.#line = null;
    }
    this.#frames(bytes, at);
  }

  #frames(bytes: Uint8Array, from: number): void {
    let at = from;
    while (at < bytes.length) {
      const take = this.#look(bytes, at);
      const length = this.#frameLength;
      if (length < 0) {
        if (bytes.length - at > MAX_LINE) {
          // No server writes that: the client's parser says what is wrong with it.
          this.#rest(bytes.subarray(at));
          return;
        }
        this.#line = bytes.slice(at);
        return;
      }
      if (at + length > bytes.length) {
        this.#partial = new Uint8Array(length);
        this.#partial.set(bytes.subarray(at));
        this.#filled = bytes.length - at;
        return;
      }
      if (take === undefined) this.#rest(bytes.subarray(at, at + length));
      else take(this.#places);
      at += length;
    }
  }

  /** Looks at the frame that starts at `at`: its length, its places, and who takes it. */
  #look(bytes: Uint8Array, at: number): ((places: FramePlaces) => void) | undefined {
    const end = bytes.length;
    const headers = bytes[at] === H;
    const name = headers ? at + 1 : at;
    const message = bytes[name] === M && bytes[name + 1] === S && bytes[name + 2] === G;
    const from = this.#from;
    const to = this.#to;
    let words = 0;
    let inWord = false;
    let i = at;
    for (; i < end; i++) {
      const byte = bytes[i] as number;
      if (byte > SPACE) {
        if (!inWord && words < 8) {
          from[words] = i;
          inWord = true;
        }
      } else if (inWord && (byte === SPACE || byte === TAB || byte === 13 || byte === LF)) {
        to[words++] = i;
        inWord = false;
      }
      if (byte === LF) break;
    }
    if (i >= end) {
      this.#frameLength = -1;
      return undefined;
    }
    const lineEnd = i + 1;
    if (!message) {
      this.#frameLength = lineEnd - at;
      return undefined;
    }
    // [H]MSG <subject> <sid> [reply] [header bytes] <total bytes>
    const least = headers ? 5 : 4;
    const total = number(bytes, from[words - 1] as number, to[words - 1] as number);
    this.#frameLength = lineEnd - at + total + 2;
    if (words !== least && words !== least + 1) return undefined;
    const take = this.#taps.get(number(bytes, from[2] as number, to[2] as number));
    if (take === undefined) return undefined;
    const places = this.#places;
    places.bytes = bytes;
    places.subjectFrom = from[1] as number;
    places.subjectTo = to[1] as number;
    const reply = words > least;
    places.replyFrom = reply ? (from[3] as number) : 0;
    places.replyTo = reply ? (to[3] as number) : 0;
    places.headersFrom = lineEnd;
    places.dataFrom =
      lineEnd + (headers ? number(bytes, from[words - 2] as number, to[words - 2] as number) : 0);
    places.dataTo = lineEnd + total;
    return take;
  }
}

function number(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + ((bytes[i] as number) - ZERO);
  return value;
}
