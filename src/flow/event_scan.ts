/**
 * Reads events of a stream to look at them, and nothing else: through a consumer of its own that acknowledges nothing, at a
 * bounded rate and with a bounded share of the thread, so that those who move events are not disturbed.
 */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  type JetStreamManager,
  ReplayPolicy,
} from "@nats-io/jetstream";
import { type NatsConnection, nuid } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import type { EventScanEnd, EventScanRequest } from "../model/event_scan.ts";
import { originOf, scanConsumer, tenantSubjectOf } from "../model/names.ts";
import { nanos } from "../model/units.ts";
import type { RawMessage } from "../nats/raw.ts";
import { sleep } from "../nats/wait.ts";
import { newDelivery, readAckSubject } from "./ack_subject.ts";
import { PullReader } from "./pull_reader.ts";

export interface ScanOptions extends EventScanRequest {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
}

const BATCH = 500;
const BATCH_BYTES = 1024 * 1024;
const INACTIVE_MS = 30_000;
/** The thread is given back after so long. */
const SLICE_MS = 4;
const DECODER = new TextDecoder();

/**
 * Looks at the events of a stream from `start` to `end`. What retention drops meanwhile is not seen.
 * @throws LeafmeshError `server_failed` when the stream is not read any more; what the server says when it cannot be
 */
export async function scanEvents(options: ScanOptions): Promise<EventScanEnd> {
  const { jsm, stream, end, signal } = options;
  const name = scanConsumer(nuid.next());
  const info = await jsm.consumers.add(stream, consumerConfig(name, options));
  try {
    if (end !== null && info.num_pending === 0) return "end";
    const scan = new Scan(options, name);
    try {
      return await scan.run();
    } finally {
      scan.stop();
    }
  } catch (thrown) {
    if (signal.aborted) return "aborted";
    throw thrown;
  } finally {
    if (!options.nc.isClosed()) await jsm.consumers.delete(stream, name).catch(() => false);
  }
}

function consumerConfig(name: string, { start, filter }: ScanOptions): ConsumerConfig {
  return {
    name,
    ack_policy: AckPolicy.None,
    ...("sequence" in start
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, start.sequence) }
      : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(start.timeMs).toISOString() }),
    replay_policy: ReplayPolicy.Instant,
    inactive_threshold: nanos(INACTIVE_MS),
    mem_storage: true,
    num_replicas: 1,
    filter_subject: filter,
  } as Partial<ConsumerConfig> as ConsumerConfig;
}

class Scan {
  readonly #options: ScanOptions;
  readonly #reader: PullReader;
  readonly #delivery = newDelivery();
  #queue: RawMessage[] = [];
  #at = 0;
  #consumerSequence = 0;
  #failure: string | null = null;
  #done = false;
  #wake: (() => void) | null = null;

  constructor(options: ScanOptions, consumer: string) {
    this.#options = options;
    this.#reader = new PullReader({
      nc: options.nc,
      stream: options.stream,
      consumer,
      batch: () => BATCH,
      maxBytes: () => Math.max(BATCH_BYTES, (options.nc.info?.max_payload ?? BATCH_BYTES) + 64 * 1024),
      buffered: () => this.#queue.length - this.#at,
      onMessage: (message) => {
        this.#queue.push(message);
        this.#wake?.();
      },
      onEnd: (reason) => {
        this.#failure = reason;
        this.#wake?.();
      },
    });
  }

  stop(): void {
    this.#reader.stop();
    this.#queue = [];
  }

  async run(): Promise<EventScanEnd> {
    const { signal, pace, onSlice } = this.#options;
    for (;;) {
      if (signal.aborted) return "aborted";
      if (this.#failure !== null) {
        throw new LeafmeshError(
          "server_failed",
          `Stream '${this.#options.stream}' is not read: ${this.#failure}`,
        );
      }
      if (this.#at === this.#queue.length) await this.#arrival();
      const started = performance.now();
      const events = this.#slice(started + SLICE_MS);
      const spentMs = performance.now() - started;
      if (this.#done) return "end";
      if (!onSlice()) return "stopped";
      const { perSecond, share } = pace();
      const pauseMs = Math.max(spentMs * (1 / share - 1), (events / perSecond) * 1000 - spentMs);
      if (events > 0) await sleep(Math.max(1, pauseMs), signal);
    }
  }

  /** Looks at what has come, for a short time. @returns how many events */
  #slice(untilMs: number): number {
    let events = 0;
    for (; this.#at < this.#queue.length && !this.#done; events++) {
      if (events > 0 && performance.now() > untilMs) break;
      this.#look(this.#queue[this.#at++] as RawMessage);
    }
    if (this.#at === this.#queue.length) {
      this.#queue = [];
      this.#at = 0;
    }
    if (!this.#done) this.#reader.refill();
    return events;
  }

  #look(message: RawMessage): void {
    const delivery = this.#delivery;
    const { end, onEvent } = this.#options;
    if (
      !readAckSubject(message.reply, delivery) ||
      delivery.consumerSequence !== this.#consumerSequence + 1
    ) {
      this.#failure = "a delivery was lost";
      this.#queue = [];
      this.#at = 0;
      return;
    }
    this.#consumerSequence = delivery.consumerSequence;
    const sequence = delivery.streamSequence;
    const pending = pendingOf(message.reply);
    if (end !== null) this.#done = sequence >= end || pending === 0;
    if (end !== null && sequence > end) return;
    const stored = DECODER.decode(message.subject);
    onEvent(
      {
        subject: tenantSubjectOf(stored),
        headers: message.headers,
        data: message.data,
        origin: originOf(stored),
        timeMs: delivery.timeMs,
        sequence,
      },
      pending,
    );
  }

  /** Waits for a message, the end of the reading or the signal. */
  async #arrival(): Promise<void> {
    const arrived = new AbortController();
    this.#wake = () => arrived.abort();
    const either = AbortSignal.any([arrived.signal, this.#options.signal]);
    if (this.#queue.length === 0 && this.#failure === null) await sleep(60_000, either);
    this.#wake = null;
  }
}

/** Messages that wait behind a delivered one: the last token of its reply subject (ADR-15). */
function pendingOf(reply: Uint8Array): number {
  const text = DECODER.decode(reply.subarray(reply.lastIndexOf(46) + 1));
  return Number(text);
}
