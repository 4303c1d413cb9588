/**
 * Reads a pull consumer with its own MSG.NEXT requests: two are outstanding at most, each bounded in messages and bytes,
 * so memory is bounded whatever the backlog, and no promise is made for a message.
 */
import { createInbox, type Msg, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { errorText } from "../model/errors.ts";
import { nanos } from "../model/units.ts";
import type { FramePlaces, FrameTap } from "../nats/frame_tap.ts";
import { frameTap, type RawMessage, rawMessage } from "../nats/raw.ts";
import { DeliveredMessage } from "./delivered.ts";

export interface PullReaderOptions {
  readonly nc: NatsConnection;
  readonly stream: string;
  readonly consumer: string;
  /** Messages of one request, as it is now. */
  readonly batch: () => number;
  /** Bytes of one request, as it is now; must be more than the largest message. */
  readonly maxBytes: () => number;
  /** Messages that were delivered and that the owner has not dealt with yet. */
  readonly buffered: () => number;
  /** @param resumed whether nothing was asked for between the message before and this one */
  readonly onMessage: (message: DeliveredMessage, resumed: boolean) => void;
  /** The reading has ended and does not go on by itself. */
  readonly onEnd: (reason: string) => void;
}

const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 5_000;
const REQUESTS = 2;
/** Stands where other requests have their number. */
const KEEP_ALIVE = "alive";

/** One request at a time, on a subscription of its own: what a delivery is charged to is known by it. */
interface Slot {
  readonly inbox: string;
  subscription: Subscription | null;
  /** Number of the running request; statuses of earlier ones are late. */
  request: number;
  messages: number;
  bytes: number;
  /** Bytes that it asked for. */
  asked: number;
}

export class PullReader {
  readonly #options: PullReaderOptions;
  readonly #tap: FrameTap;
  readonly #slots: readonly Slot[];
  readonly #subject: string;
  readonly #watch: ReturnType<typeof setInterval>;
  /** Bytes of the next request, where a message was larger than the others are; `null`: as always. */
  #larger: number | null = null;
  #heardAt = performance.now();
  #resumed = false;
  #stopped = false;

  /** Subscribes and asks for the first messages. */
  constructor(options: PullReaderOptions) {
    this.#options = options;
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${options.stream}.${options.consumer}`;
    this.#tap = frameTap(options.nc);
    this.#slots = Array.from({ length: REQUESTS }, () => this.#slot());
    this.#watch = setInterval(() => this.#check(), HEARTBEAT_MS);
    this.refill();
    this.#resumed = false;
  }

  /** Asks for more when less than one request's worth waits at the owner. Cheap: call it often. */
  refill(): void {
    for (const slot of this.#slots) {
      if (this.#stopped) return;
      const batch = this.#options.batch();
      if (slot.messages > 0 || this.#options.buffered() >= batch) continue;
      if (!this.asking) this.#resumed = true;
      const bytes = this.#larger ?? this.#options.maxBytes();
      slot.request++;
      slot.messages = batch;
      slot.bytes = slot.asked = bytes;
      const reply = `${slot.inbox}.${slot.request}`;
      this.#options.nc.publish(this.#subject, requestOf(batch, bytes), { reply });
    }
  }

  /** Whether messages are asked for; if not, the owner has enough to do. */
  get asking(): boolean {
    return this.#slots.some((slot) => slot.messages > 0);
  }

  /** Takes no more messages. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#watch);
    for (const { subscription } of this.#slots) {
      if (subscription === null) continue;
      this.#tap.untap(subscription.getID());
      subscription.unsubscribe();
    }
  }

  #slot(): Slot {
    const slot: Slot = {
      inbox: createInbox(),
      subscription: null,
      request: 0,
      messages: 0,
      bytes: 0,
      asked: 0,
    };
    slot.subscription = this.#options.nc.subscribe(`${slot.inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) this.#end(errorText(error));
        else if (!this.#stopped) this.#hear(slot, message);
      },
    });
    this.#tap.tap(slot.subscription.getID(), (places) => this.#read(slot, places));
    return slot;
  }

  /** The way of nearly all: straight off the connection's bytes. */
  #read(slot: Slot, places: FramePlaces): void {
    if (this.#stopped) return;
    this.#heardAt = performance.now();
    try {
      if (places.replyFrom === places.replyTo) {
        const { bytes, subjectFrom, subjectTo, headersFrom, dataFrom } = places;
        const subject = new TextDecoder().decode(bytes.subarray(subjectFrom, subjectTo));
        this.#status(slot, subject, bytes.subarray(headersFrom, dataFrom));
      } else {
        this.#deliver(slot, new DeliveredMessage(places));
      }
    } catch (error) {
      // The client would only print it and read no more.
      this.#end(errorText(error));
    }
  }

  /** What was on its way through the client before the tap was there. */
  #hear(slot: Slot, message: Msg): void {
    this.#heardAt = performance.now();
    const raw = rawMessage(message);
    if (raw.reply.length === 0) this.#status(slot, message.subject, raw.headers);
    else this.#deliver(slot, new DeliveredMessage(joined(raw)));
  }

  #deliver(slot: Slot, message: DeliveredMessage): void {
    // As the server counts: nats-server `server/consumer.go`, loopAndGatherMsgs. At zero bytes a request ends unsaid.
    slot.messages--;
    slot.bytes -= message.size;
    if (slot.bytes <= 0) slot.messages = 0;
    const resumed = this.#resumed;
    this.#resumed = false;
    this.#larger = null;
    this.#options.onMessage(message, resumed);
  }

  /** Status messages of pull requests. Source: nats-server `server/consumer.go`, processWaiting and nextWaiting. */
  #status(slot: Slot, subject: string, headers: Uint8Array): void {
    const end = headers.indexOf(13);
    const line = new TextDecoder().decode(headers.subarray(9, end < 0 ? headers.length : end));
    const status = Number.parseInt(line, 10);
    if (status === 100 || subject === `${slot.inbox}.${KEEP_ALIVE}`) return;
    const full = line.includes("Batch Completed") || line.includes("Exceeds MaxBytes");
    if (status === 408 || (status === 409 && full)) {
      if (subject === `${slot.inbox}.${slot.request}`) {
        slot.messages = 0;
        // A message of when the server took larger ones: no request of this size would ever be answered.
        if (line.includes("Exceeds MaxBytes") && slot.bytes === slot.asked) this.#larger = 2 * slot.asked;
      }
      this.refill();
      return;
    }
    this.#end(`pull request ended: ${line}`);
  }

  #check(): void {
    const asked = this.asking;
    if (asked && performance.now() - this.#heardAt > 2 * HEARTBEAT_MS + 1000) {
      this.#end("the server sends no heartbeats");
    } else if (!asked) {
      this.#heardAt = performance.now();
      this.refill();
      this.#keepAlive();
    }
  }

  /**
   * The server ends a consumer that nobody asks for messages, and the owner may have enough to wait with for long. No message
   * fits into one byte: the answer is an error.
   */
  #keepAlive(): void {
    const [slot] = this.#slots;
    if (this.#stopped || slot === undefined || slot.messages > 0) return;
    const request = JSON.stringify({ batch: 1, max_bytes: 1, no_wait: true });
    this.#options.nc.publish(this.#subject, request, { reply: `${slot.inbox}.${KEEP_ALIVE}` });
  }

  #end(reason: string): void {
    if (this.#stopped) return;
    this.stop();
    this.#options.onEnd(reason);
  }
}

function requestOf(batch: number, maxBytes: number): string {
  const expires = nanos(EXPIRES_MS);
  return JSON.stringify({ batch, max_bytes: maxBytes, expires, idle_heartbeat: nanos(HEARTBEAT_MS) });
}

/** A message's parts in one piece. */
function joined({ subject, reply, headers, data }: RawMessage): FramePlaces {
  const bytes = new Uint8Array(subject.length + reply.length + headers.length + data.length);
  const replyTo = subject.length + reply.length;
  const dataFrom = replyTo + headers.length;
  bytes.set(subject);
  bytes.set(reply, subject.length);
  bytes.set(headers, replyTo);
  bytes.set(data, dataFrom);
  return {
    bytes,
    subjectFrom: 0,
    subjectTo: subject.length,
    replyFrom: subject.length,
    replyTo,
    headersFrom: replyTo,
    dataFrom,
    dataTo: bytes.length,
  };
}
