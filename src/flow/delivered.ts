/** A delivered message as it lies in the connection's bytes: views on its parts are made only when they are needed. */
import type { FramePlaces } from "../nats/frame_tap.ts";
import type { RawMessage } from "../nats/raw.ts";
import { newDelivery, readAckSubject } from "./ack_subject.ts";

const EMPTY = new Uint8Array(0);

/** All bytes are views on the socket's chunk: copy what is kept for long. */
export class DeliveredMessage implements RawMessage {
  readonly bytes: Uint8Array;
  readonly subjectFrom: number;
  readonly subjectTo: number;
  readonly replyFrom: number;
  readonly replyTo: number;
  readonly #headersFrom: number;
  readonly #dataFrom: number;
  readonly #dataTo: number;

  constructor(places: FramePlaces) {
    this.bytes = places.bytes;
    this.subjectFrom = places.subjectFrom;
    this.subjectTo = places.subjectTo;
    this.replyFrom = places.replyFrom;
    this.replyTo = places.replyTo;
    this.#headersFrom = places.headersFrom;
    this.#dataFrom = places.dataFrom;
    this.#dataTo = places.dataTo;
  }

  /** Bytes of subject, reply subject, header block and payload. */
  get size(): number {
    return (
      this.subjectTo - this.subjectFrom + this.replyTo - this.replyFrom + this.#dataTo - this.#headersFrom
    );
  }

  /** Sequence in the stream that delivered it; 0 when it does not say. */
  get streamSequence(): number {
    const delivery = newDelivery();
    return readAckSubject(this.bytes, delivery, this.replyFrom, this.replyTo) ? delivery.streamSequence : 0;
  }

  get subject(): Uint8Array {
    return this.bytes.subarray(this.subjectFrom, this.subjectTo);
  }

  get reply(): Uint8Array {
    return this.bytes.subarray(this.replyFrom, this.replyTo);
  }

  /** The raw header block (`NATS/1.0\r\n…\r\n\r\n`); empty when there are no headers. */
  get headers(): Uint8Array {
    return this.#headersFrom === this.#dataFrom
      ? EMPTY
      : this.bytes.subarray(this.#headersFrom, this.#dataFrom);
  }

  get data(): Uint8Array {
    return this.bytes.subarray(this.#dataFrom, this.#dataTo);
  }
}
