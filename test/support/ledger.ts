/** Publishes numbered events under load and tells what became of each at a reader. */
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { ReadEvent } from "./read_log.ts";

/** As fast as it goes a load takes the processor from all that it is a load for. */
const PAUSE_MS = 30;

/** A load of numbered events: `{"n":0,…}`, `{"n":1,…}`, each acknowledged by the stream before it counts. */
export class Load {
  readonly #js: JetStreamClient;
  readonly #subject: (n: number) => string;
  readonly #body: (n: number) => object;
  readonly #running: Promise<void>;
  #stopped = false;
  #next = 0;
  /** Numbers that were acknowledged, with their position in the out stream. */
  readonly acked = new Map<number, number>();

  /** @param batch events in flight together. @param pauseMs between one batch and the next; default 30 */
  constructor(
    nc: NatsConnection,
    options: {
      subject: (n: number) => string;
      body?: (n: number) => object;
      batch?: number;
      pauseMs?: number;
    },
  ) {
    this.#js = jetstream(nc);
    this.#subject = options.subject;
    this.#body = options.body ?? (() => ({}));
    this.#running = this.#run(options.batch ?? 20, options.pauseMs ?? PAUSE_MS);
  }

  /** How many were acknowledged so far. */
  get count(): number {
    return this.acked.size;
  }

  /** Stops, and waits for the last acknowledgement. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(batch: number, pauseMs: number): Promise<void> {
    while (!this.#stopped) {
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      await Promise.all(Array.from({ length: batch }, () => this.#publish(this.#next++)));
    }
  }

  async #publish(n: number): Promise<void> {
    for (;;) {
      try {
        const ack = await this.#js.publish(this.#subject(n), JSON.stringify({ n, ...this.#body(n) }), {
          msgID: `load-${n}`,
          timeout: 2000,
        });
        this.acked.set(n, ack.seq);
        return;
      } catch {
        // The server is away for a moment; the id keeps a retry from being stored twice.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

/** Numbers that appear more than once, and places where the order of numbers' positions is broken. */
export function faults(events: readonly ReadEvent[], positionOf: ReadonlyMap<number, number>) {
  const seen = new Map<number, number>();
  let reordered = 0;
  let last = 0;
  for (const event of events) {
    seen.set(event.n, (seen.get(event.n) ?? 0) + 1);
    const position = positionOf.get(event.n) ?? 0;
    if (position < last) reordered++;
    last = position;
  }
  return { seen, repeated: [...seen].filter(([, times]) => times > 1).map(([n]) => n), reordered };
}
