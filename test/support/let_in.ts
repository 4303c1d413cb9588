import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { type WaitForOptions, waitFor } from "./wait_for.ts";

/** A server that is very busy takes up to 2 s for a login, its own limit. */
const DIAL_MS = 3_000;
const DEADLINE_MS = 30_000;

/**
 * Connects, as often as it takes: a server that reads its configuration anew ends what has not logged in yet, which nats-core 3.4
 * does not see before its `timeout` is over (20 s unless told).
 *
 * @throws Error after the deadline (30 s unless told), with what the last attempt said
 */
export async function letIn(options: ConnectionOptions, wait: WaitForOptions = {}): Promise<NatsConnection> {
  return await waitFor(() => connect({ timeout: DIAL_MS, ...options }), {
    what: `${options.servers} to let a client in`,
    deadlineMs: DEADLINE_MS,
    pollMs: 200,
    ...wait,
  });
}
