/** Reads the log of a tenant at one site while everything around it fails: each of its events once, in the log's order. */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { nanos } from "../../../src/model/units.ts";

const BATCH = 2000;
const WAIT_MS = 1000;
const RETRY_AFTER_MS = 200;
const INACTIVE_MS = 30_000;

export interface LogEvent {
  /** `<origin>.<tenant>.…` */
  readonly subject: string;
  readonly sequence: number;
  readonly text: string;
  readonly header: (name: string) => string;
}

/** Reads from the log's first event on, until it is stopped. */
export class LogReader {
  /** Sequence of the last event that was read. */
  last = 0;
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(nc: NatsConnection, tenant: string, onEvent: (event: LogEvent) => void) {
    this.#done = this.#run(nc, tenant, onEvent);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  /** Reads nothing more from now on, and is not waited for: while its server is away it does not hear of its end. */
  abandon(): void {
    this.#stopped = true;
  }

  async #run(nc: NatsConnection, tenant: string, onEvent: (event: LogEvent) => void): Promise<void> {
    while (!this.#stopped) {
      try {
        const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3000 });
        await this.#read(nc, jsm, tenant, onEvent);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
      }
    }
  }

  /** Reads with one consumer, until something fails. */
  async #read(
    nc: NatsConnection,
    jsm: JetStreamManager,
    tenant: string,
    onEvent: (event: LogEvent) => void,
  ): Promise<void> {
    const { name } = await jsm.consumers.add(tenant, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.last + 1,
      inactive_threshold: nanos(INACTIVE_MS),
      mem_storage: true,
    });
    const consumer = await jetstream(nc, { timeout: 3000 }).consumers.get(tenant, name);
    let delivered = 0;
    while (!this.#stopped) {
      for await (const message of await consumer.fetch({ max_messages: BATCH, expires: WAIT_MS })) {
        // Something between was not delivered to this consumer: a new one reads it.
        if (message.info.deliverySequence !== delivered + 1) throw new Error("a delivery was missed");
        delivered++;
        if (this.#stopped) return;
        if (message.seq <= this.last) continue;
        this.last = message.seq;
        onEvent({
          subject: message.subject,
          sequence: message.seq,
          text: message.string(),
          header: (key) => message.headers?.get(key) ?? "",
        });
      }
      await consumer.info(true).catch(async () => {
        throw new Error("the consumer is gone");
      });
    }
  }
}
