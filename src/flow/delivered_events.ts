/** Reads what a consumer delivers as events: none may be missing in between, and those that are not wanted are passed over. */
import type { MeshEvent } from "../model/event.ts";
import { type Delivery, newDelivery, readAckSubject } from "./ack_subject.ts";
import type { DeliveredMessage } from "./delivered.ts";
import type { Taken } from "./event_decider.ts";
import { SubjectCache } from "./subject_cache.ts";

export interface DeliveredEventsOptions {
  /** Source sequence up to which there is nothing to read. */
  readonly after: number;
  /** Patterns of stored subjects that are wanted; none: all that come. */
  readonly wanted: readonly string[];
  /** What an event says of the stream that it comes from. */
  readonly stream: string;
  /** A delivery was lost, or is not one. */
  readonly onFault: (message: string) => void;
}

/** The deliveries of one consumer, from its first on. */
export class DeliveredEvents {
  readonly #options: DeliveredEventsOptions;
  readonly #delivery: Delivery = newDelivery();
  readonly #subjects: SubjectCache;
  /** Events that were delivered, and those of them that were not wanted. */
  #delivered = 0;
  #skipped = 0;
  #sequence: number;

  constructor(options: DeliveredEventsOptions) {
    this.#options = options;
    this.#subjects = new SubjectCache(options.wanted);
    this.#sequence = options.after;
  }

  /** Wanted events that were read. */
  get wanted(): number {
    return this.#delivered - this.#skipped;
  }

  /** Source sequence of the last one that was read. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The event of the next delivery; `null`: it is not wanted, or `onFault` was told why there is none. */
  read(message: DeliveredMessage): Taken | null {
    const delivery = this.#delivery;
    const { bytes, replyFrom, replyTo } = message;
    if (!readAckSubject(bytes, delivery, replyFrom, replyTo)) {
      const text = new TextDecoder().decode(bytes.subarray(replyFrom, replyTo));
      this.#options.onFault(`Unknown acknowledgement subject '${text}'`);
      return null;
    }
    if (delivery.consumerSequence !== this.#delivered + 1) {
      this.#options.onFault(`delivery ${delivery.consumerSequence} came after ${this.#delivered}`);
      return null;
    }
    this.#delivered = delivery.consumerSequence;
    this.#sequence = delivery.streamSequence;
    const subject = this.#subjects.get(bytes, message.subjectFrom, message.subjectTo);
    if (!subject.wanted) {
      this.#skipped++;
      return null;
    }
    const event: MeshEvent = {
      subject: subject.subject,
      headers: message.headers,
      data: message.data,
      origin: subject.origin,
      timeMs: delivery.timeMs,
      sequence: delivery.streamSequence,
      stream: this.#options.stream,
    };
    return { event, subject };
  }
}
