/** The apps at the sites: ordinary NATS clients that know nothing of the mesh. */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamClient,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { connect, headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { ATTEMPT_HEADER, type ExpectedEvent, type Observation, SENT_HEADER } from "./checker.ts";
import type { Ring } from "./ring.ts";
import { READ_LOG, SITES, type Site, TENANTS, type Tenant } from "./scenario.ts";

const PUBLISH_TIMEOUT_MS = 10_000;

/** One app for each site and tenant, and one reader of a log. */
export class Apps implements AsyncDisposable {
  readonly #connections: NatsConnection[] = [];
  readonly #publishers = new Map<string, JetStreamClient>();

  /** Connects the apps and subscribes; what they receive goes to `onMessage`. */
  static async open(ring: Ring, onMessage: (message: Observation) => void): Promise<Apps> {
    const apps = new Apps();
    for (const site of SITES) {
      for (const tenant of TENANTS) {
        const connection = await apps.#connect(ring, site, tenant, "app");
        connection.subscribe(`${tenant}.>`, {
          callback: (_error, message) => onMessage(observed(message, { site, tenant, via: "app" })),
        });
        await connection.flush();
        apps.#publishers.set(`${site} ${tenant}`, jetstream(connection));
      }
    }
    await apps.#readLog(ring, onMessage);
    return apps;
  }

  /** Publishes an event at its site. @returns whether the server says that it has it already */
  async publish(event: ExpectedEvent, attempt: number): Promise<boolean> {
    const publisher = this.#publishers.get(`${event.origin} ${event.tenant}`);
    if (publisher === undefined) throw new Error(`No app of ${event.tenant} at ${event.origin}`);
    const { payload } = event;
    const data = payload instanceof Uint8Array ? payload : Buffer.from(payload.write(payload.value));
    const fields = headers();
    for (const [name, value] of event.headers) fields.set(name, value);
    fields.set(ATTEMPT_HEADER, String(attempt));
    fields.set(SENT_HEADER, performance.now().toFixed(3));
    const ack = await publisher.publish(event.subject, data, {
      msgID: event.id,
      headers: fields,
      timeout: PUBLISH_TIMEOUT_MS,
    });
    return ack.duplicate;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }

  async #connect(ring: Ring, site: Site, tenant: Tenant, role: string): Promise<NatsConnection> {
    const connection = await connect({
      servers: ring.addresses[site].listen,
      name: `${role} of ${tenant} at ${site}`,
      authenticator: ring.users[tenant].authenticator,
      // A server that reads its configuration just now ends what has not logged in yet.
      timeout: 5_000,
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
    });
    this.#connections.push(connection);
    return connection;
  }

  /** A durable pull consumer on the tenant's log, as an app has it that must miss nothing. */
  async #readLog(ring: Ring, onMessage: (message: Observation) => void): Promise<void> {
    const { site, tenant } = READ_LOG;
    const connection = await this.#connect(ring, site, tenant, "reader");
    const manager = await jetstreamManager(connection);
    await manager.consumers.add(tenant, {
      durable_name: "reader",
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_ack_pending: 1000,
    });
    const consumer = await jetstream(connection).consumers.get(tenant, "reader");
    await consumer.consume({
      max_messages: 500,
      callback: (message) => {
        onMessage(observed(message, { site, tenant, via: "log" }));
        message.ack();
      },
    });
  }
}

function observed(
  message: { readonly subject: string; readonly data: Uint8Array; readonly headers?: MsgHdrs | undefined },
  at: Pick<Observation, "site" | "tenant" | "via">,
): Observation {
  const fields: [string, string][] = [];
  for (const name of message.headers?.keys() ?? []) {
    for (const value of message.headers?.values(name) ?? []) fields.push([name, value]);
  }
  return { ...at, subject: message.subject, headers: fields, data: message.data, atMs: performance.now() };
}
