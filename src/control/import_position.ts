/** How far this site has stored a stream of a peer: what the peer's own acknowledgement floor may lag behind. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { mirrorStream, remoteStreams, siteApiPrefix } from "../model/names.ts";
import type { PeerPosition } from "./apply.ts";
import { type ObservedStreams, sourceReports } from "./observe.ts";
import type { InRoute } from "./routes.ts";
import { lastOfOrigin } from "./source_position.ts";

/** Answers for one stream of a peer, from what the server has now. */
export async function importPosition(
  mesh: JetStreamManager,
  streams: ObservedStreams,
  imports: readonly InRoute[],
  ask: { readonly peer: string; readonly tenant: string; readonly stream: string },
): Promise<PeerPosition> {
  const api = siteApiPrefix(ask.peer);
  const mirror = streams.get(mirrorStream(ask.tenant, ask.peer));
  if (mirror?.info.config.mirror?.name === ask.stream) {
    return { attached: true, sequence: mirror.info.state.last_seq };
  }
  let sequence = 0;
  for (const [name, { info }] of streams) {
    const source = info.config.sources?.find((one) => one.external?.api === api && one.name === ask.stream);
    if (source === undefined) continue;
    const now = sourceReports(info).find((one) => one.name === ask.stream && one.external?.api === api);
    return { attached: true, sequence: now?.seq ?? (await lastStored(mesh, name, ask, imports)) };
  }
  for (const name of remoteStreams(ask.tenant)) {
    if (!streams.has(name)) continue;
    sequence = Math.max(sequence, await lastStored(mesh, name, ask, imports));
  }
  return { attached: false, sequence };
}

/** Sequence, in the peer's stream, of the last message that came from it; 0 when there is none any more. */
async function lastStored(
  mesh: JetStreamManager,
  stream: string,
  ask: { readonly peer: string; readonly tenant: string; readonly stream: string },
  imports: readonly InRoute[],
): Promise<number> {
  const origins = new Set([ask.peer]);
  for (const route of imports) {
    if (route.peer === ask.peer && route.tenant.name === ask.tenant) origins.add(route.origin);
  }
  let sequence = 0;
  for (const origin of origins) {
    sequence = Math.max(sequence, await lastOfOrigin(mesh, stream, { ...ask, origin }));
  }
  return sequence;
}
