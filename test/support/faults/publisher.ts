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
/** More than the sequences of a stream between two roll-backs. */
const LIFE = 1_000_000_000;

/** Publishes the events of one origin and tenant; of each key one at a time, so that a key's order is that of its numbers. */
export class Publisher {
  readonly origin: SiteName;
  readonly tenant: TenantName;
  /** By serial: the key, the position in the origin's stream (0: not known yet), and when it was first sent. */
  readonly keys: number[] = [];
  readonly positions: number[] = [];
  readonly sentMs: number[] = [];
  /** By serial: acknowledged, and lost with a store that was put back from an older copy; peers may have it. */
  readonly forgotten: boolean[] = [];
  /** By serial: how often it was under way when its site was killed, and an older copy did not know it: so often it may come again. */
  readonly unsure: number[] = [];
  /** Publishes that had to be repeated. */
  retries = 0;
  readonly #js: JetStreamClient;
  readonly #history: History;
  readonly #everyMs: number;
  readonly #done: Promise<void>;
  #stopped = false;
  /** While it is set, nothing new is begun. */
  #held: Promise<void> | null = null;
  #underWay = 0;
  /** Added to sequences: those of a store that was put back are used again. */
  #base = 0;
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

  /** Begins no new events, and waits until those under way are stored. @returns what lets it go on */
  async hold(): Promise<() => void> {
    let go = () => {};
    this.#held = new Promise((resolve) => {
      go = resolve;
    });
    while (this.#underWay > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    return () => {
      this.#held = null;
      go();
    };
  }

  /** How many events were begun. */
  get begun(): number {
    return this.keys.length;
  }

  /** The store of its site is as it was when `begun` events were stored. @returns those that it has lost */
  rollBack(begun: number): readonly number[] {
    const lost: number[] = [];
    for (let serial = begun; serial < this.keys.length; serial++) {
      if (this.positions[serial] === 0) this.unsure[serial] = (this.unsure[serial] ?? 0) + 1;
      else if (this.forgotten[serial] !== true) {
        this.forgotten[serial] = true;
        lost.push(serial);
        this.#acked--;
        if (classOf(this.keys[serial] ?? 0) === "orders") this.#ackedOrders--;
      }
    }
    this.#base += LIFE;
    return lost;
  }

  /** Begins no new events, and waits until all that were begun are stored. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  /** The sequence of an event in its origin's stream; 0: not known. Of those that are not forgotten each has its own. */
  sequenceOf(serial: number): number {
    return (this.positions[serial] ?? 0) % LIFE;
  }

  /** How often the store of its site was an older copy before an event was stored. */
  lifeOf(serial: number): number {
    return Math.floor((this.positions[serial] ?? 0) / LIFE);
  }

  /** The same of what is stored now. */
  get life(): number {
    return this.#base / LIFE;
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
      while (this.#held !== null) await this.#held;
      if (this.#stopped) return;
      const serial = this.keys.length;
      this.keys.push(key);
      this.positions.push(0);
      this.sentMs.push(this.#history.nowMs());
      this.#underWay++;
      await this.#publish({ origin: this.origin, tenant: this.tenant, serial, key });
      this.#underWay--;
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
        this.positions[event.serial] = this.#base + ack.seq;
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
