/**
 * Raw access to messages of nats.js: header bytes in and out without `MsgHdrs` objects, frames read off the connection's
 * bytes in place, and frames written straight to its socket. Building objects for each message costs more than a redaction,
 * so the event path does without.
 *
 * It leans on internals of @nats-io/nats-core 3.4 (`MsgImpl._msg`, `MsgImpl._rdata`, `NatsConnectionImpl.protocol`, its
 * `parser`, `transport` and `flushPending`).
 * Only this file knows them; when their shape changes it fails at once with a clear error instead of reading garbage.
 */
import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import { FrameTap } from "./frame_tap.ts";

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

interface ParserInternals {
  parse(bytes: Uint8Array): void;
  readonly state: number;
}

interface ProtocolInternals {
  parser: ParserInternals;
  readonly connected: boolean;
  readonly transport: { send(bytes: Uint8Array): void };
  flushPending(): void;
}

function protocolOf(nc: NatsConnection): ProtocolInternals {
  const holder: unknown = nc;
  if (typeof holder === "object" && holder !== null && "protocol" in holder) {
    const protocol = holder.protocol;
    if (
      typeof protocol === "object" &&
      protocol !== null &&
      "connected" in protocol &&
      typeof protocol.connected === "boolean" &&
      "transport" in protocol &&
      typeof protocol.transport === "object" &&
      protocol.transport !== null &&
      "send" in protocol.transport &&
      typeof protocol.transport.send === "function" &&
      "flushPending" in protocol &&
      typeof protocol.flushPending === "function" &&
      "parser" in protocol &&
      typeof protocol.parser === "object" &&
      protocol.parser !== null &&
      "parse" in protocol.parser &&
      typeof protocol.parser.parse === "function" &&
      "state" in protocol.parser &&
      typeof protocol.parser.state === "number"
    ) {
      return protocol as ProtocolInternals;
    }
  }
  throw shapeError("NatsConnectionImpl");
}

/** State of the client's parser between two frames. */
const BETWEEN_FRAMES = 0;
const TAPS = new WeakMap<object, FrameTap>();

/**
 * The tap of a connection's bytes. It lasts until the connection is lost: after a reconnect the client has another parser,
 * and messages come by way of their subscriptions again.
 * @throws LeafmeshError `internal` when the client's connection has another shape than expected
 */
export function frameTap(nc: NatsConnection): FrameTap {
  const { parser } = protocolOf(nc);
  const there = TAPS.get(parser);
  if (there !== undefined) return there;
  const rest = parser.parse.bind(parser);
  const tap = new FrameTap(rest);
  let tapping = false;
  parser.parse = (chunk) => {
    tapping ||= parser.state === BETWEEN_FRAMES;
    if (tapping) tap.parse(chunk);
    else rest(chunk);
  };
  TAPS.set(parser, tap);
  return tap;
}

/**
 * Sends frames of the client protocol as they are, at once and in one piece. What is sent while the connection is down may
 * be dropped, as with nats.js itself: the caller needs acknowledgements.
 * @throws LeafmeshError `internal` when the client's connection has another shape than expected
 */
export function rawSender(nc: NatsConnection): (frames: Uint8Array) => void {
  const protocol = protocolOf(nc);
  return (frames) => {
    if (nc.isClosed()) return;
    // What the client has to send itself goes first, and is not joined with ours.
    protocol.flushPending();
    if (protocol.connected) protocol.transport.send(frames);
  };
}
