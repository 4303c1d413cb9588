/** Assembles HPUB frames of the NATS client protocol in one buffer. Source: https://docs.nats.io/reference/reference-protocols/nats-protocol */
import { Buffer } from "node:buffer";

/** A message to publish, in the parts that it is made of: nothing is joined before it is written. */
export interface RawFrame {
  readonly subject: string;
  /** Whether `subject` holds only ASCII characters. */
  readonly plain: boolean;
  /** Subject to answer to, ASCII. */
  readonly reply: string;
  /** Start of the header block, `NATS/1.0\r\n` and complete lines, ASCII. */
  readonly headerHead: string;
  /** Rest of the header block, up to and with the empty line: the bytes of this block from `headerFrom` on. */
  readonly headerTail: Uint8Array;
  readonly headerFrom: number;
  readonly data: Uint8Array;
}

/** Under this a loop copies faster than `subarray` and `set`. */
const SHORT = 80;
const CR = 13;
const LF = 10;

/** Frames one after the other. `send` gets full chunks, which are its own. */
export class FrameBuffer {
  readonly #chunkBytes: number;
  readonly #send: (bytes: Uint8Array) => void;
  #bytes: Buffer;
  #used = 0;

  constructor(chunkBytes: number, send: (bytes: Uint8Array) => void) {
    this.#chunkBytes = chunkBytes;
    this.#send = send;
    this.#bytes = Buffer.alloc(chunkBytes);
  }

  write(frame: RawFrame): void {
    const { subject, headerHead, headerTail, headerFrom, data } = frame;
    const tailLength = headerTail.length - headerFrom;
    const headerLength = headerHead.length + tailLength;
    const total = headerLength + data.length;
    const line = `HPUB ${subject} ${frame.reply} ${headerLength} ${total}\r\n${headerHead}`;
    // A character of a subject takes three bytes at most (two UTF-16 units take four).
    this.#make(line.length + 2 * subject.length + tailLength + data.length + 2);
    const bytes = this.#bytes;
    let at = this.#used;
    at += bytes.write(line, at, frame.plain ? "latin1" : "utf8");
    if (tailLength <= SHORT) {
      for (let i = headerFrom; i < headerTail.length; i++) bytes[at++] = headerTail[i] as number;
    } else {
      bytes.set(headerFrom === 0 ? headerTail : headerTail.subarray(headerFrom), at);
      at += tailLength;
    }
    bytes.set(data, at);
    at += data.length;
    bytes[at] = CR;
    bytes[at + 1] = LF;
    this.#used = at + 2;
  }

  flush(): void {
    if (this.#used === 0) return;
    const full = this.#bytes.subarray(0, this.#used);
    this.#used = 0;
    this.#bytes = Buffer.alloc(this.#chunkBytes);
    this.#send(full);
  }

  #make(room: number): void {
    if (this.#used + room <= this.#bytes.length) return;
    this.flush();
    if (room > this.#bytes.length) this.#bytes = Buffer.alloc(room);
  }
}
