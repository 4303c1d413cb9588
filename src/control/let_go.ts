/**
 * Has who takes what a consumer delivers attach again. A RESET under one that is attached loses events, and nobody is told: the
 * consumer counts anew, and who listens takes the first whose count fits for the next one, whatever is between. So it is told of
 * a delivery that never was: it has missed that, stops listening, and asks for the RESET itself.
 * Source: nats-server `server/stream.go`, processInboundSourceMsg, and `server/consumer.go`, sendIdleHeartbeat.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { until } from "../nats/wait.ts";
import type { Attachments } from "./attachments.ts";

const LAST_CONSUMER_HEADER = "Nats-Last-Consumer";
/** More than any consumer has delivered. */
const NEVER_DELIVERED = "9007199254740991";
/** nats-server attaches a source at most every two seconds. */
const WITHIN_MS = 5000;
const LOOK_AGAIN_MS = 10;

/** What a consumer says that has nothing to deliver: a source that is attached takes it for that. */
export const idleHeartbeat = (): MsgHdrs => headers(100, "Idle Heartbeat");

export interface LetGoTarget {
  /** Of MESH. */
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly attachments: Attachments;
  /** Whether there is a link with whom a consumer is for. Without one nobody can be seen listening, who then goes on. */
  readonly linked: (consumer: string) => Promise<boolean>;
}

export interface LetGoOptions {
  /** How long to wait until it has let go; 0: not at all. */
  readonly withinMs?: number;
  /** Since when it must have attached: since the consumer was made, or from now on. Default: now. */
  readonly since?: "made" | "now";
}

/** Makes who listens attach again. @returns whether nobody listens any more who did before */
export async function letGo(
  { nc, mesh, attachments, linked }: LetGoTarget,
  stream: string,
  consumer: string,
  { withinMs = WITHIN_MS, since = "now" }: LetGoOptions = {},
): Promise<boolean> {
  const look = () => unlessGone(mesh.consumers.info(stream, consumer), null);
  const info = await look();
  if (info === null) return true;
  if (since === "made" && attachments.has(stream, consumer, info.created)) return true;
  const { deliver_subject } = info.config;
  if (deliver_subject === undefined) return true;
  if (info.push_bound !== true) return await linked(consumer);
  const before = attachments.count(stream, consumer);
  const missed = idleHeartbeat();
  missed.set(LAST_CONSUMER_HEADER, NEVER_DELIVERED);
  nc.publish(deliver_subject, "", { headers: missed });
  if (withinMs === 0) return false;
  // It may listen again before anybody has seen that it did not.
  const hasLetGo = async () =>
    attachments.count(stream, consumer) > before ||
    ((await look())?.push_bound !== true && (await linked(consumer)));
  return await until(hasLetGo, withinMs, LOOK_AGAIN_MS);
}
