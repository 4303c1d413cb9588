/** Publishes hostile events at one site, and reads what has come of them at another. */
import { type ConsumerMessages, type JetStreamClient, type JsMsg, jetstream } from "@nats-io/jetstream";
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { fuzzEvent } from "./events.ts";
import { leaksInText } from "./secrets.ts";

const IN_FLIGHT = 256;
const decoder = new TextDecoder("latin1");

/** What the origin's server said of the events. */
export interface Published {
  /** Position in the origin's stream of each event that it has stored. */
  readonly positions: Map<number, number>;
  /** Events that the server refused to store; they were never published. */
  refused: number;
}

/** Publishes events `[from, to)`, each until the server has stored or refused it. */
export async function publishEvents(
  nc: NatsConnection,
  seed: number,
  [from, to]: readonly [number, number],
  published: Published,
): Promise<void> {
  let next = from;
  const publisher = async () => {
    while (next < to) await publishOne(nc, seed, next++, published);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, publisher));
}

async function publishOne(nc: NatsConnection, seed: number, n: number, published: Published): Promise<void> {
  const { subject, headers, data } = fuzzEvent(seed, n);
  // The client asks its headers for their bytes alone, so these may be any.
  const raw = { encode: () => headers } as unknown as MsgHdrs;
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await nc.request(subject, data, { headers: raw, timeout: 10_000 });
      const ack = answer.json<{ readonly seq?: number; readonly error?: unknown }>();
      if (ack.error !== undefined || ack.seq === undefined) published.refused++;
      else published.positions.set(n, ack.seq);
      return;
    } catch (thrown) {
      // Its id keeps the second attempt from being stored twice.
      if (attempt === 20) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** An event as an app at the far site gets it. */
export interface Delivered {
  /** Position in the origin's stream, as the view's own header has it. */
  readonly position: number;
  readonly version: string;
  /** Encodings in which a secret stands in it. */
  readonly leaks: readonly string[];
}

/** Reads events `(after, upTo]` of a tenant's log, in its order. */
export async function readDelivered(
  nc: NatsConnection,
  tenant: string,
  after: number,
  upTo: number,
  onEvent: (event: Delivered) => void,
): Promise<void> {
  await readStream(jetstream(nc), tenant, after, upTo, (message) => onEvent(delivered(message)));
}

/** Reads all of a stream with its sequence in `(after, upTo]`. */
export async function readStream(
  js: JetStreamClient,
  stream: string,
  after: number,
  upTo: number,
  onMessage: (message: JsMsg) => void,
): Promise<void> {
  if (upTo <= after) return;
  const consumer = await js.consumers.get(stream, { opt_start_seq: after + 1 });
  const messages: ConsumerMessages = await consumer.consume({ max_messages: 2000 });
  for await (const message of messages) {
    onMessage(message);
    if (message.seq >= upTo) break;
  }
  await messages.close();
}

function delivered(message: JsMsg): Delivered {
  const lines: string[] = [message.subject];
  for (const [name, values] of message.headers ?? []) lines.push(`${name}: ${values.join("\n")}`);
  const positions = message.headers?.values("Leafmesh-Position") ?? [];
  return {
    position: positions.length === 1 ? Number(positions[0]) : Number.NaN,
    version: message.headers?.get("Leafmesh-Policy") ?? "",
    leaks: [...leaksInText(lines.join("\n")), ...leaksInText(decoder.decode(message.data))],
  };
}
