/**
 * Cuts the bytes of a leaf connection into frames, with a bound on each: what a peer sends may be anything.
 * Protocol: nats-server `server/leafnode.go` and `server/parser.go`.
 */
import { Buffer } from "node:buffer";
import { LeafmeshError } from "../model/errors.ts";

/** One frame as it came. */
export type LeafFrame =
  | { readonly type: "info"; readonly text: string }
  | { readonly type: "ping" | "pong" | "ok" }
  | { readonly type: "error"; readonly text: string }
  | { readonly type: "subscribe" | "unsubscribe"; readonly subject: string }
  | {
      readonly type: "message";
      readonly subject: string;
      readonly reply: string;
      /** The header block as it stands, `NATS/1.0` included; empty without headers. */
      readonly headers: Uint8Array;
      readonly data: Uint8Array;
    };

/** Bounds of what is taken; more is refused. */
export interface LeafLimits {
  /** Longest line, the line break included. INFO is one line. */
  readonly maxLineBytes: number;
  /** Largest message, headers and payload. */
  readonly maxMessageBytes: number;
}

interface Head {
  readonly subject: string;
  readonly reply: string;
  readonly headerBytes: number;
  readonly totalBytes: number;
}

const NOTHING = new Uint8Array();

/** Takes bytes in pieces of any size, gives frames in order. Keeps at most one unfinished frame. */
export class LeafFrames {
  readonly #limits: LeafLimits;
  #rest: Buffer = Buffer.alloc(0);
  #head: Head | null = null;

  constructor(limits: LeafLimits) {
    this.#limits = limits;
  }

  /**
   * The frames that are whole with these bytes.
   * @throws {LeafmeshError} `peer_refused` when a frame is too large or is none; nothing more may be taken then.
   */
  *take(bytes: Uint8Array): Generator<LeafFrame> {
    let data = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    try {
      for (;;) {
        if (this.#head !== null) {
          const { totalBytes } = this.#head;
          if (data.length < totalBytes + 2) return;
          const frame = messageOf(this.#head, data);
          data = data.subarray(totalBytes + 2);
          this.#head = null;
          yield frame;
          continue;
        }
        const end = data.indexOf("\r\n");
        if (end < 0 ? data.length > this.#limits.maxLineBytes : end + 2 > this.#limits.maxLineBytes)
          throw refuse(`a line of more than ${this.#limits.maxLineBytes} bytes`);
        if (end < 0) return;
        const line = data.toString("utf8", 0, end);
        data = data.subarray(end + 2);
        const frame = this.#line(line);
        if (frame !== null) yield frame;
      }
    } finally {
      // A copy: a view would keep all that was read before.
      this.#rest = Buffer.from(data);
    }
  }

  #line(line: string): LeafFrame | null {
    const [verb = "", ...words] = line.split(/[ \t]+/);
    switch (verb.toUpperCase()) {
      case "INFO":
        return { type: "info", text: line.slice(verb.length).trim() };
      case "PING":
        return { type: "ping" };
      case "PONG":
        return { type: "pong" };
      case "+OK":
        return { type: "ok" };
      case "-ERR":
        return { type: "error", text: line.slice(verb.length).trim().replace(/^'|'$/g, "") };
      case "LS+":
        return { type: "subscribe", subject: words[0] ?? "" };
      case "LS-":
        return { type: "unsubscribe", subject: words[0] ?? "" };
      case "LMSG":
        this.#head = this.#messageHead(words, 1);
        return null;
      case "HMSG":
        this.#head = this.#messageHead(words, 2);
        return null;
      case "":
        return null;
      default:
        throw refuse(`'${verb.slice(0, 16)}', which is no word of the leaf protocol`);
    }
  }

  /** `<subject> [reply] <sizes>`, or with queue groups `<subject> + <reply> <queues…> <sizes>` and `| <queues…>`. */
  #messageHead(words: readonly string[], sizes: 1 | 2): Head {
    const numbers = words.slice(-sizes).map((text) => (/^\d{1,9}$/.test(text) ? Number(text) : Number.NaN));
    const names = words.slice(0, -sizes);
    const totalBytes = numbers.at(-1) ?? Number.NaN;
    const headerBytes = sizes === 2 ? (numbers[0] ?? Number.NaN) : 0;
    if (names.length === 0 || !(totalBytes >= headerBytes)) throw refuse("a message without a size");
    if (totalBytes > this.#limits.maxMessageBytes)
      throw refuse(`a message of ${totalBytes} bytes, more than ${this.#limits.maxMessageBytes}`);
    const reply = names[1] === "+" ? (names[2] ?? "") : names[1] === "|" ? "" : (names[1] ?? "");
    return { subject: names[0] ?? "", reply, headerBytes, totalBytes };
  }
}

function messageOf({ subject, reply, headerBytes, totalBytes }: Head, data: Buffer): LeafFrame {
  if (data[totalBytes] !== 13 || data[totalBytes + 1] !== 10) throw refuse("a message longer than it says");
  const headers = headerBytes === 0 ? NOTHING : Uint8Array.from(data.subarray(0, headerBytes));
  return {
    type: "message",
    subject,
    reply,
    headers,
    data: Uint8Array.from(data.subarray(headerBytes, totalBytes)),
  };
}

function refuse(what: string): LeafmeshError {
  return new LeafmeshError("peer_refused", `The other end of the leaf connection sent ${what}`);
}
