/** How far this site has stored a stream of a peer: what the peer's own acknowledgement floor may lag behind. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { mirrorStream, parseStreamName, remoteStreams, siteApiPrefix } from "../model/names.ts";
import type { PeerPosition } from "./apply.ts";
import { type ObservedStreams, sourceReports } from "./observe.ts";
import type { SetbackNote } from "./rollback/setback_note.ts";
import type { InRoute } from "./routes.ts";
import { goesOnInCopy, lastOfOrigin, takenOf } from "./source_position.ts";

/**
 * Answers for one stream of a peer, from what the server has now.
 * @param setbacks which streams are older copies; default: none
 */
export async function importPosition(
  mesh: JetStreamManager,
  streams: ObservedStreams,
  imports: readonly InRoute[],
  ask: { readonly peer: string; readonly tenant: string; readonly stream: string },
  setbacks: Pick<SetbackNote, "lastOf"> = { lastOf: () => null },
): Promise<PeerPosition> {
  const api = siteApiPrefix(ask.peer);
  const mirror = streams.get(mirrorStream(ask.tenant, ask.peer));
  if (mirror?.info.config.mirror?.name === ask.stream) {
    return { attached: true, sequence: mirror.info.state.last_seq };
  }
  for (const [name, { info }] of streams) {
    const source = info.config.sources?.find((one) => one.external?.api === api && one.name === ask.stream);
    if (source === undefined) continue;
    const now = sourceReports(info).find((one) => one.name === ask.stream && one.external?.api === api);
    const stored = await lastStored(mesh, name, ask, imports);
    const taken = await goesOn(mesh, streams, imports, ask);
    return { attached: true, ...stored, sequence: now?.seq ?? stored.sequence, ...taken };
  }
  let stored: Stored = { sequence: 0 };
  for (const name of remoteStreams(ask.tenant)) {
    if (streams.has(name)) stored = further(stored, await lastStored(mesh, name, ask, imports));
  }
  const origins = originsOf(ask, imports);
  const older = remoteStreams(ask.tenant).some((stream) =>
    origins.some((origin) => setbacks.lastOf(stream, `from ${origin}`) !== null),
  );
  const taken = await goesOn(mesh, streams, imports, ask, older);
  return { attached: false, ...stored, ...taken, ...(older ? { older } : {}) };
}

/** Where a source goes on by what is stored of it. */
async function goesOn(
  mesh: JetStreamManager,
  streams: ObservedStreams,
  imports: readonly InRoute[],
  ask: { readonly peer: string; readonly tenant: string; readonly stream: string },
  older = false,
): Promise<Pick<PeerPosition, "goesOnAfter" | "identity">> {
  const places = remoteStreams(ask.tenant)
    .filter((stream) => streams.has(stream))
    .map((stream) => ({ manager: mesh, stream }));
  const asks = originsOf(ask, imports).map((origin) => ({ ...ask, origin }));
  const taken = await takenOf(places, asks);
  if (taken.type === "stored") return { goesOnAfter: taken.sequence, identity: taken.identity };
  const after = older ? await goesOnInCopy(places, asks, taken) : null;
  return after === null ? {} : { goesOnAfter: after };
}

type Stored = Omit<PeerPosition, "attached">;

/** The further one; where nothing is of that stream any more, what is known of its only origin. */
function further(left: Stored, right: Stored): Stored {
  if (left.sequence !== right.sequence) return left.sequence > right.sequence ? left : right;
  if (left.position !== undefined && right.position !== undefined) return { sequence: left.sequence };
  return left.position === undefined ? right : left;
}

/** Whose events a peer gives us of a tenant. */
function originsOf(
  ask: { readonly peer: string; readonly tenant: string },
  imports: readonly InRoute[],
): string[] {
  const given = imports.filter(({ peer, tenant }) => peer === ask.peer && tenant.name === ask.tenant);
  return [...new Set([ask.peer, ...given.map(({ origin }) => origin)])];
}

/** Sequence, in the peer's stream, of the last message that came from it, and the position of the last of that origin. */
async function lastStored(
  mesh: JetStreamManager,
  stream: string,
  ask: { readonly peer: string; readonly tenant: string; readonly stream: string },
  imports: readonly InRoute[],
): Promise<Stored> {
  let stored: Stored = { sequence: 0 };
  for (const origin of originsOf(ask, imports)) {
    stored = further(stored, await lastOfOrigin(mesh, stream, { ...ask, origin }));
  }
  const { type } = parseStreamName(stream) ?? {};
  // What was replayed has sequences of its replay.
  return type === "in" || type === "quiet" ? stored : { sequence: stored.sequence };
}
