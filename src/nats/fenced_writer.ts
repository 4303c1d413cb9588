/**
 * Writes messages into one stream, without gaps, fenced against a second writer.
 *
 * Every message carries `Nats-Expected-Last-Sequence`: the server stores it only right after the one before it. So one
 * acknowledgement, of the last message of a chunk, says that all before it are stored too, in order and alone; the others
 * ask for none. A message that the server refuses, or skips as a duplicate, makes it refuse all that follow, and the next
 * acknowledgement says so. The first message is acknowledged by itself: it says why, where that can be known.
 *
 * Fast ingest (ADR-50) is not used: it tracks a batch on the server for what the fence gives already, costs the server about
 * a fifth more for each message, and its batches must be committed when idle.
 */
import { createInbox, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { errorText } from "../model/errors.ts";
import { failureOf, type PublishAck, parsePublishAck, type WriteFailure } from "./publish_ack.ts";
import { type RawMessage, rawMessage, rawSender } from "./raw.ts";
import { FENCE_BYTES, FrameBuffer, type RawFrame } from "./raw_frame.ts";

/** Size of a message as `max_msg_size` counts it, without the fence. */
export function messageSize({ headTo, tail, tailFrom, data }: RawFrame): number {
  return headTo + tail.length - tailFrom + data.length;
}

export interface FencedWriterOptions {
  readonly nc: NatsConnection;
  /** The stream's last sequence, as the writer believes: the first message is refused when it is another one. */
  readonly lastSequence: number;
  /** Looked at before anything is sent: where it says no, the writer ends. Default: always. */
  readonly mayWrite?: () => boolean;
  /** The first `ordinal` messages that were appended are stored, in order. */
  readonly onStored: (ordinal: number) => void;
  /** `ready` is true again. */
  readonly onReady: () => void;
  /** The writer has ended; how many of its messages are stored for certain is `stored`. */
  readonly onFailed: (failure: WriteFailure) => void;
  /** Messages that may be in flight; far under what a server buffers (10,000). Default 4000. */
  readonly maxInFlight?: number;
  /** Bytes that may be in flight. Default 4 MiB. */
  readonly maxInFlightBytes?: number;
  /** A server that says nothing for this long while messages are in flight has failed. Default 10 s. */
  readonly timeoutMs?: number;
}

/** Bytes that are sent at once, with one acknowledgement for all. */
const CHUNK_BYTES = 256 * 1024;

/** One writer. It does not reconnect nor retry: after a failure make a new one from the stream's state. */
export class FencedWriter {
  readonly #options: FencedWriterOptions;
  readonly #frames: FrameBuffer;
  readonly #subscription: Subscription;
  readonly #maxInFlight: number;
  readonly #maxBytes: number;
  readonly #timeoutMs: number;
  readonly #base: number;
  #ended = false;
  #appended = 0;
  #stored = 0;
  #bytes = 0;
  #scheduled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the server was last heard, or had nothing to say. */
  #heardAt = 0;
  #whenIdle: Array<() => void> = [];

  /** @throws LeafmeshError `internal` when the client's connection has another shape than expected */
  constructor(options: FencedWriterOptions) {
    this.#options = options;
    this.#base = options.lastSequence;
    this.#maxInFlight = options.maxInFlight ?? 4_000;
    this.#maxBytes = options.maxInFlightBytes ?? 4 * 1024 * 1024;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    const inbox = createInbox();
    this.#frames = new FrameBuffer(CHUNK_BYTES, inbox, rawSender(options.nc));
    this.#subscription = options.nc.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null) this.fail({ type: "connection_lost", message: errorText(error) });
        else this.#hear(rawMessage(message));
      },
    });
  }

  /** Whether `append` may be called. */
  get ready(): boolean {
    if (this.#ended) return false;
    // Until the first message is stored nothing is known of the stream.
    if (this.#stored === 0 && this.#appended > 0) return false;
    return this.#appended - this.#stored < this.#maxInFlight && this.#bytes < this.#maxBytes;
  }

  /** How many messages were appended. */
  get appended(): number {
    return this.#appended;
  }

  /** How many of them are stored for certain. */
  get stored(): number {
    return this.#stored;
  }

  /** The stream's last sequence once all that was appended is stored. */
  get lastSequence(): number {
    return this.#base + this.#appended;
  }

  /** Bytes that the fence adds to a message's header block, at most. */
  static readonly overheadBytes = FENCE_BYTES;

  /** Sends one message; only while `ready`. Its bytes are copied before it returns. */
  append(message: RawFrame): void {
    if (this.#appended === this.#stored) this.#heardAt = performance.now();
    this.#frames.write(message, this.lastSequence);
    this.#appended++;
    this.#bytes += messageSize(message);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#timer ??= setTimeout(() => this.#tick(), this.#timeoutMs);
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#options.mayWrite?.() === false) {
        this.fail({ type: "connection_lost", message: "another worker may have the stream" });
        return;
      }
      this.#frames.flush();
    });
  }

  /** Resolves when what was appended is stored, or the writer has failed. */
  drain(): Promise<void> {
    if (this.#ended || this.#appended === this.#stored) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Ends the writer without waiting for what is in flight. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#frames.clear();
    this.#subscription.unsubscribe();
    this.#idle();
  }

  /** Ends the writer as failed. */
  fail(failure: WriteFailure): void {
    if (this.#ended) return;
    this.close();
    this.#options.onFailed(failure);
  }

  #idle(): void {
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #hear(message: RawMessage): void {
    if (this.#ended) return;
    this.#heardAt = performance.now();
    let ack: PublishAck;
    try {
      ack = parsePublishAck(message);
    } catch (error) {
      this.fail({ type: "refused", code: 0, message: errorText(error) });
      return;
    }
    if (ack.type === "refused") {
      this.fail(failureOf(ack));
      return;
    }
    const ordinal = ack.sequence - this.#base;
    if (ack.duplicate || ordinal <= this.#stored || ordinal > this.#appended) {
      const what = ack.duplicate ? "a duplicate" : "the message";
      this.fail({
        type: "fenced",
        message: `the server has ${what} at ${ack.sequence}, expected ${this.#base + this.#stored + 1} to ${this.lastSequence}`,
      });
      return;
    }
    this.#bytes *= (this.#appended - ordinal) / (this.#appended - this.#stored);
    this.#stored = ordinal;
    this.#options.onStored(ordinal);
    if (this.#appended === this.#stored) this.#idle();
    if (this.ready) this.#options.onReady();
  }

  #tick(): void {
    this.#timer = undefined;
    if (this.#ended || this.#appended === this.#stored) return;
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs >= this.#timeoutMs) {
      this.fail({ type: "timeout", message: `no answer for ${this.#timeoutMs} ms` });
      return;
    }
    this.#timer = setTimeout(() => this.#tick(), this.#timeoutMs - silentMs);
  }
}
