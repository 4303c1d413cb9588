/** What has come to a tenant's log. Asked again and again it reads what is new alone. */
import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { nanos } from "../../src/model/units.ts";

const INACTIVE_MS = 60_000;
const BATCH = 5000;

/** A numbered event, see `Load`. */
export interface ReadEvent {
  readonly subject: string;
  readonly n: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly sequence: number;
}

const cursors = new WeakMap<NatsConnection, Map<string, LogCursor>>();

/** All numbered events of a tenant's log that match `pattern` (`<origin>.<tenant>.…`), in its order. */
export async function readLog(nc: NatsConnection, tenant: string, pattern: string): Promise<ReadEvent[]> {
  const own = cursors.get(nc) ?? new Map<string, LogCursor>();
  cursors.set(nc, own);
  const key = `${tenant} ${pattern}`;
  const cursor = own.get(key) ?? new LogCursor(nc, tenant, pattern);
  own.set(key, cursor);
  return await cursor.read();
}

/** How many events of a tenant's log match `pattern` (`<origin>.<tenant>.…`). */
export async function pendingIn(nc: NatsConnection, tenant: string, pattern: string): Promise<number> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { state } = await jsm.streams.info(tenant, { subjects_filter: pattern });
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

/** Reads with one consumer. When that is gone, with a restart of the server, all is read again: the log may be another. */
class LogCursor {
  readonly #nc: NatsConnection;
  readonly #tenant: string;
  readonly #pattern: string;
  #events: ReadEvent[] = [];
  #consumer: string | null = null;
  #delivered = 0;
  #running: Promise<unknown> = Promise.resolve();

  constructor(nc: NatsConnection, tenant: string, pattern: string) {
    this.#nc = nc;
    this.#tenant = tenant;
    this.#pattern = pattern;
  }

  async read(): Promise<ReadEvent[]> {
    const read = this.#running.then(() => this.#read());
    this.#running = read.catch(() => {
      this.#consumer = null;
    });
    return await read;
  }

  async #read(): Promise<ReadEvent[]> {
    const jsm = await jetstreamManager(this.#nc, { checkAPI: false });
    for (;;) {
      const info = (await this.#there(jsm)) ?? (await this.#begin(jsm));
      if (await this.#take(info)) return [...this.#events];
      // What was on its way when a connection broke does not come again.
      this.#consumer = null;
    }
  }

  /** Takes what waits. @returns whether all of it has come */
  async #take(info: ConsumerInfo): Promise<boolean> {
    const consumer = jetstream(this.#nc).consumers.getConsumerFromInfo(info);
    let left = info.num_pending;
    while (left > 0) {
      const before = left;
      const batch = await consumer.fetch({ max_messages: Math.min(left, BATCH), expires: 5000 });
      for await (const message of batch) {
        if (message.info.deliverySequence !== this.#delivered + 1) return false;
        this.#delivered++;
        const body = message.json<{ n: number }>();
        this.#events.push({
          subject: message.subject,
          n: body.n,
          body: body as never,
          sequence: message.seq,
        });
        left--;
      }
      if (left === before) return false;
    }
    return true;
  }

  async #there(jsm: JetStreamManager) {
    if (this.#consumer === null) return null;
    return await jsm.consumers.info(this.#tenant, this.#consumer).catch(() => null);
  }

  async #begin(jsm: JetStreamManager) {
    const info = await jsm.consumers.add(this.#tenant, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      filter_subjects: [this.#pattern],
      inactive_threshold: nanos(INACTIVE_MS),
      mem_storage: true,
    });
    this.#consumer = info.name;
    this.#delivered = 0;
    this.#events = [];
    return info;
  }
}
