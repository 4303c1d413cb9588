/** Assembles HPUB frames of the NATS client protocol in one buffer. Source: https://docs.nats.io/reference/reference-protocols/nats-protocol */

/**
 * One message to publish. Strings are ASCII. The header block that is sent is `headerHead` (starting with `NATS/1.0\r\n`),
 * then `headerTail`, which ends with the empty line.
 */
export interface RawFrame {
  readonly subjectHead: string;
  /** Bytes that follow `subjectHead` in the subject. */
  readonly subjectTail: Uint8Array;
  readonly reply: string;
  readonly headerHead: string;
  readonly headerTail: Uint8Array;
  readonly data: Uint8Array;
}

const SMALL = 48;

/** Size of the header block and the payload of a frame, which is what `max_payload` and `max_msg_size` count. */
export function frameSize(frame: RawFrame): number {
  return frame.headerHead.length + frame.headerTail.length + frame.data.length;
}

/** Frames one after the other; `send` gets full chunks and must not expect the buffer to stay: it owns what it gets. */
export class FrameBuffer {
  readonly #chunkBytes: number;
  readonly #send: (bytes: Uint8Array) => void;
  #bytes: Uint8Array;
  #used = 0;

  constructor(chunkBytes: number, send: (bytes: Uint8Array) => void) {
    this.#chunkBytes = chunkBytes;
    this.#send = send;
    this.#bytes = new Uint8Array(chunkBytes);
  }

  write(frame: RawFrame): void {
    const headerLength = frame.headerHead.length + frame.headerTail.length;
    const total = headerLength + frame.data.length;
    // 32: the verb, spaces, two lengths and two line ends
    const most = total + frame.subjectHead.length + frame.subjectTail.length + frame.reply.length + 48;
    if (this.#used + most > this.#bytes.length) this.#make(most);
    this.#ascii("HPUB ");
    this.#ascii(frame.subjectHead);
    this.#append(frame.subjectTail);
    this.#ascii(" ");
    this.#ascii(frame.reply);
    this.#ascii(` ${headerLength} ${total}\r\n`);
    this.#ascii(frame.headerHead);
    this.#append(frame.headerTail);
    this.#append(frame.data);
    this.#ascii("\r\n");
  }

  flush(): void {
    if (this.#used === 0) return;
    const full = this.#bytes.slice(0, this.#used);
    this.#used = 0;
    // A buffer that grew for one large message is not kept.
    if (this.#bytes.length > this.#chunkBytes) this.#bytes = new Uint8Array(this.#chunkBytes);
    this.#send(full);
  }

  #make(room: number): void {
    this.flush();
    if (room > this.#bytes.length) this.#bytes = new Uint8Array(room);
  }

  #ascii(text: string): void {
    const bytes = this.#bytes;
    let at = this.#used;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.#used = at;
  }

  #append(part: Uint8Array): void {
    const at = this.#used;
    if (part.length > SMALL) this.#bytes.set(part, at);
    else {
      const bytes = this.#bytes;
      for (let i = 0; i < part.length; i++) bytes[at + i] = part[i] as number;
    }
    this.#used = at + part.length;
  }
}
