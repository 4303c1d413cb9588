/**
 * Raw access to messages of nats.js: header bytes in and out without `MsgHdrs` objects, and frames written straight into
 * the connection's outbound buffer. Building header objects costs more than a redaction, so the event path does without.
 *
 * It leans on internals of @nats-io/nats-core 3.4 (`MsgImpl._msg`, `MsgImpl._rdata`, `NatsConnectionImpl.protocol`).
 * Only this file knows them; when their shape changes it fails at once with a clear error instead of reading garbage.
 */
import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import { FrameBuffer, type RawFrame } from "./raw_frame.ts";

const EMPTY = new Uint8Array(0);

/** A message as it came off the wire. All bytes are views on the socket's chunk: copy what is kept for long. */
export interface RawMessage {
  readonly subject: Uint8Array;
  /** Empty when there is no reply subject. */
  readonly reply: Uint8Array;
  /** The raw header block (`NATS/1.0\r\n…\r\n\r\n`); empty when there are no headers. */
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
}

interface MsgInternals {
  readonly _msg: { readonly subject: Uint8Array; readonly reply?: Uint8Array; readonly hdr: number };
  readonly _rdata: Uint8Array;
}

function hasInternals(msg: unknown): msg is MsgInternals {
  if (typeof msg !== "object" || msg === null || !("_msg" in msg) || !("_rdata" in msg)) return false;
  const inner = msg._msg;
  return (
    typeof inner === "object" &&
    inner !== null &&
    "hdr" in inner &&
    typeof inner.hdr === "number" &&
    "subject" in inner &&
    inner.subject instanceof Uint8Array &&
    msg._rdata instanceof Uint8Array
  );
}

function shapeError(what: string): LeafmeshError {
  return new LeafmeshError(
    "internal",
    `${what} of @nats-io/nats-core has another shape than that of 3.4: pin the client to 3.4 or adapt src/nats/raw.ts`,
  );
}

/**
 * The raw parts of a message that nats.js delivered.
 * @throws LeafmeshError `internal` when the client's messages have another shape than expected
 */
export function rawMessage(msg: Msg): RawMessage {
  const found: unknown = msg;
  if (!hasInternals(found)) throw shapeError("MsgImpl");
  const { hdr, subject, reply } = found._msg;
  const bytes = found._rdata;
  return {
    subject,
    reply: reply ?? EMPTY,
    headers: hdr > 0 ? bytes.subarray(0, hdr) : EMPTY,
    data: hdr > 0 ? bytes.subarray(hdr) : bytes,
  };
}

/** A raw header block in the place where nats.js takes `MsgHdrs` for publishing: it only ever calls `encode()`. */
export function rawHeaders(block: Uint8Array): MsgHdrs {
  return { encode: () => block } as unknown as MsgHdrs;
}

interface ProtocolInternals {
  sendCommand(bytes: Uint8Array): void;
}

function protocolOf(nc: NatsConnection): ProtocolInternals {
  const holder: unknown = nc;
  if (typeof holder === "object" && holder !== null && "protocol" in holder) {
    const protocol = holder.protocol;
    if (typeof protocol === "object" && protocol !== null && "sendCommand" in protocol) {
      if (typeof protocol.sendCommand === "function") return protocol as ProtocolInternals;
    }
  }
  throw shapeError("NatsConnectionImpl");
}

/**
 * Publishes many messages with few allocations: frames are written into one buffer, which goes to the connection when it
 * is full or at the end of the current turn of the event loop. What is published while the connection is down may be
 * dropped, as with nats.js itself: the caller needs acknowledgements.
 */
export class RawPublisher {
  readonly #nc: NatsConnection;
  readonly #protocol: ProtocolInternals;
  readonly #frames = new FrameBuffer(64 * 1024, (bytes) => this.#send(bytes));
  #scheduled = false;

  /** @throws LeafmeshError `internal` when the client's connection has another shape than expected */
  constructor(nc: NatsConnection) {
    this.#nc = nc;
    this.#protocol = protocolOf(nc);
  }

  /** Queues one message. The frame's bytes are copied before it returns. */
  publish(frame: RawFrame): void {
    this.#frames.write(frame);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Hands what is queued to the connection now. */
  flush(): void {
    this.#frames.flush();
  }

  #send(bytes: Uint8Array): void {
    if (!this.#nc.isClosed()) this.#protocol.sendCommand(bytes);
  }
}
