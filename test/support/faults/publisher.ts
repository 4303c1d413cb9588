/** A publisher that numbers its events, sends each again with the same id until it is stored, and remembers where it was stored. */
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import { type NatsConnection, headers as natsHeaders } from "@nats-io/transport-node";
import type { History } from "./history.ts";
import {
  classOf,
  idOf,
  KEYS,
  type NumberedEvent,
  payloadOf,
  type SiteName,
  subjectOf,
  type TenantName,
} from "./scenario.ts";

const ACK_WITHIN_MS = 3000;
const RETRY_AFTER_MS = 100;
const HEADER = "x-app";

/** Publishes the events of one origin and tenant; of each key one at a time, so that a key's order is that of its numbers. */
export class Publisher {
  readonly origin: SiteName;
  readonly tenant: TenantName;
  /** By serial: the key, the position in the origin's stream (0: not known yet), and when it was first sent. */
  readonly keys: number[] = [];
  readonly positions: number[] = [];
  readonly sentMs: number[] = [];
  /** Publishes that had to be repeated. */
  retries = 0;
  readonly #js: JetStreamClient;
  readonly #history: History;
  readonly #everyMs: number;
  readonly #done: Promise<void>;
  #stopped = false;
  #acked = 0;
  #ackedOrders = 0;

  /** @param perSecond events a second that are offered, over all keys. */
  constructor(
    nc: NatsConnection,
    options: { origin: SiteName; tenant: TenantName; perSecond: number; history: History },
  ) {
    this.origin = options.origin;
    this.tenant = options.tenant;
    this.#history = options.history;
    this.#js = jetstream(nc, { timeout: ACK_WITHIN_MS });
    this.#everyMs = (1000 * KEYS) / options.perSecond;
    this.#done = Promise.all(Array.from({ length: KEYS }, (_, key) => this.#run(key))).then(() => {});
  }

  /** Events that are stored. */
  get acked(): number {
    return this.#acked;
  }

  /** Of those, the ones that every version of the policy lets out. */
  get ackedOrders(): number {
    return this.#ackedOrders;
  }

  /** Begins no new events, and waits until all that were begun are stored. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  eventOf(serial: number): NumberedEvent {
    return { origin: this.origin, tenant: this.tenant, serial, key: this.keys[serial] ?? 0 };
  }

  async #run(key: number): Promise<void> {
    let due = performance.now() + (this.#everyMs * key) / KEYS;
    while (!this.#stopped) {
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      // What an outage held up is not made good in a burst.
      due = Math.max(due + this.#everyMs, performance.now() - this.#everyMs);
      if (this.#stopped) return;
      const serial = this.keys.length;
      this.keys.push(key);
      this.positions.push(0);
      this.sentMs.push(this.#history.nowMs());
      await this.#publish({ origin: this.origin, tenant: this.tenant, serial, key });
    }
  }

  async #publish(event: NumberedEvent): Promise<void> {
    const headers = natsHeaders();
    headers.set(HEADER, String(event.serial));
    for (;;) {
      try {
        const ack = await this.#js.publish(subjectOf(event), payloadOf(event), {
          msgID: idOf(event),
          headers,
        });
        this.positions[event.serial] = ack.seq;
        this.#acked++;
        if (classOf(event.key) === "orders") this.#ackedOrders++;
        return;
      } catch {
        this.retries++;
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
      }
    }
  }
}
