/**
 * What the reply subject of a delivered message says of it.
 *
 * `$JS.ACK.[<domain>.<account hash>.]<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>`
 * Source: nats-server `server/consumer.go`, ackReply; ADR-15. Both forms end in the same five tokens, of digits only.
 */

/** Facts of one delivery; one object is filled again and again, as this is read for every event. */
export interface Delivery {
  /** Sequence in the stream. */
  streamSequence: number;
  /** Sequence in the consumer: one more for each delivery, redeliveries too. */
  consumerSequence: number;
  /** 1 for the first delivery. */
  delivered: number;
  /** When the stream stored the message, milliseconds since 1970. */
  timeMs: number;
}

const DOT = 46;
const ZERO = 48;

/** An empty delivery to fill. */
export function newDelivery(): Delivery {
  return { streamSequence: 0, consumerSequence: 0, delivered: 0, timeMs: 0 };
}

/** Fills `into` from a reply subject, the bytes `from` to `to`; `false` when it is none of a delivered message. */
export function readAckSubject(reply: Uint8Array, into: Delivery, from = 0, to = reply.length): boolean {
  // "$JS.ACK." first
  if (to - from < 20 || reply[from] !== 36 || reply[from + 1] !== 74 || reply[from + 4] !== 65) return false;
  let at = to - 1;
  while (at > from && reply[at] !== DOT) at--;
  let end = at;
  const number = (): number => {
    let value = 0;
    let scale = 1;
    for (at = end - 1; at > from; at--) {
      const byte = reply[at] as number;
      if (byte === DOT) break;
      const digit = byte - ZERO;
      if (digit < 0 || digit > 9) return -1;
      value += digit * scale;
      scale *= 10;
    }
    end = at;
    return value;
  };
  // Nanoseconds are beyond 2^53: the error is below a microsecond, and milliseconds are what is kept.
  into.timeMs = Math.floor(number() / 1e6);
  into.consumerSequence = number();
  into.streamSequence = number();
  into.delivered = number();
  return into.streamSequence > 0 && into.consumerSequence > 0 && into.delivered > 0 && at > from;
}
