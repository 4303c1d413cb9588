/** Has another server of a cluster lead a stream, or a consumer of it. */
import type { NatsConnection } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import type { MovedLeader } from "./linked_leaders.ts";

const WITHIN_MS = 5000;

/** @throws {LeafmeshError} `apply_failed` with the words of the server */
export async function moveLeader(nc: NatsConnection, { stream, consumer, to }: MovedLeader): Promise<void> {
  const subject =
    consumer === null
      ? `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`
      : `$JS.API.CONSUMER.LEADER.STEPDOWN.${stream}.${consumer}`;
  const request = JSON.stringify({ placement: { preferred: to } });
  const answer = await nc.request(subject, request, { timeout: WITHIN_MS });
  const { error } = answer.json<{ error?: { description?: string } }>();
  if (error === undefined) return;
  const what = consumer === null ? stream : `${stream}/${consumer}`;
  throw new LeafmeshError("apply_failed", `${to} does not lead ${what}: ${error.description ?? "refused"}`);
}
