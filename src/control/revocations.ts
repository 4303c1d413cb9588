/** Revoking a peer: its link is cut at once, and its key is remembered so that it cannot come back unseen. */
import { LeafmeshError } from "../model/errors.ts";
import type { SystemApi } from "../nats/system_api.ts";
import type { StateStore } from "./api.ts";
import type { RevokeReport } from "./join_api.ts";

/** How long the server may take to lose the connection. */
const GONE_WITHIN_MS = 2000;
const LOOK_EVERY_MS = 20;

export interface RevokeHost {
  readonly state: StateStore;
  readonly system: SystemApi;
  /** Brings the configuration of the state of now into force. */
  readonly configure: () => Promise<void>;
  /** Closes the door to a peer, whatever else of the state is not in force yet or cannot be, and ends its connection. */
  readonly cut: (peer: string) => Promise<void>;
  readonly closeInvitations: (site: string) => Promise<number>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * Revokes a peer's key. Policies may go on naming the peer; nothing flows to it or from it.
 * @throws {LeafmeshError} `not_found`
 */
export async function revokePeer(host: RevokeHost, name: string, by?: string): Promise<RevokeReport> {
  const started = performance.now();
  const { state, system } = host;
  const peer = state.get({ type: "peer", peer: name });
  if (peer === null) throw new LeafmeshError("not_found", `There is no peer '${name}'`);
  const { key, nextKey } = peer.value;
  const at = state.get({ type: "revocation", key })?.value.at ?? new Date().toISOString();
  // While it rotates it holds both.
  for (const one of nextKey === undefined ? [key] : [key, nextKey]) {
    const ref = { type: "revocation", key: one } as const;
    if (state.get(ref) !== null) continue;
    await state.put(ref, { key: one, peer: name, at, ...(by === undefined ? {} : { by }) }, undefined);
  }
  // Only told: that nobody knows it keeps no link.
  const leafs = await system.leafs([name]).catch(() => []);
  const linked = leafs.some((leaf) => leaf.type === "up") ? 1 : 0;
  await host.cut(name);
  // Again: it may have come back between the reload and the kick.
  const kicked = await system.kickLeaf(name);
  const gone = await isGone(system, name);
  const cutMs = Math.round(performance.now() - started);
  const invitations = await host.closeInvitations(name);
  await host.configure();
  host.log("warn", `${name} is revoked, its link was cut in ${cutMs} ms (key ${key})`);
  return { peer: name, key, at, cut: Math.max(linked, kicked), cutMs, gone, invitations };
}

/** @throws {LeafmeshError} `peer_revoked` */
export function requireNotRevokedKey(state: StateStore, key: string): void {
  const revocation = state.get({ type: "revocation", key })?.value;
  if (revocation === undefined) return;
  throw new LeafmeshError(
    "peer_revoked",
    `the key ${key} was revoked as that of ${revocation.peer} at ${revocation.at}`,
  );
}

async function isGone(system: SystemApi, name: string): Promise<boolean> {
  const end = performance.now() + GONE_WITHIN_MS;
  for (;;) {
    if ((await system.leafs([name])).every((leaf) => leaf.type === "down")) return true;
    if (performance.now() > end) return false;
    await system.kickLeaf(name);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
