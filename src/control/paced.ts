/**
 * Routes with a rate limit (`limit.perPeer`), which nats-server keeps. What a consumer lets through at once is as much as its stream's largest
 * message may have, looked up when its rate is set; it counts subject and reply in. What is larger never passes, and nothing behind it: so
 * the stream has room for both above what the tenant may publish, takes no less than it once did, and no rate is in force while it gets to
 * take more. An event that makes use of that room itself may still be too large.
 * Source: nats-server 2.15.1 `server/consumer.go`, setRateLimit, updateConfig and loopAndGatherMsgs.
 */
import type { StreamConfig } from "@nats-io/jetstream";
import type { DesiredTenant } from "../model/desired.ts";
import type { StreamSpec } from "./assets.ts";

type Sized = Pick<StreamConfig, "max_msg_size">;

/** Whether any export of a tenant has a rate limit. */
export function isPaced({ exports }: Pick<DesiredTenant, "exports">): boolean {
  return exports.some(({ limit }) => limit?.perPeer !== undefined);
}

/** A stream of a tenant as it may be now: one that has taken larger events still holds them. */
export function noSmaller(
  spec: StreamSpec,
  tenant: Pick<DesiredTenant, "exports">,
  observed: Sized | undefined,
): StreamSpec {
  if (observed === undefined || spec.max_msg_size === undefined || !isPaced(tenant)) return spec;
  return { ...spec, max_msg_size: Math.max(spec.max_msg_size, observed.max_msg_size) };
}

/** Whether a stream is to take larger events than it does now. */
export function grows({ max_msg_size: wanted }: StreamSpec, observed: Sized | undefined): boolean {
  if (observed === undefined || wanted === undefined) return false;
  return observed.max_msg_size >= 0 && wanted > observed.max_msg_size;
}
