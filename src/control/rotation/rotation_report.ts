/** A rotation as it is told: who has confirmed, who is waited for and why, who must be told by hand. Pure. */
import type { Rotation, RotationPeer, RotationReport } from "../../model/rotation.ts";

/** Why a peer has not confirmed. */
export type PeerAnswers = Map<string, string>;

/** Peers that have not confirmed what they are told in this phase. */
export function waitingPeers({ phase, peers, only }: Rotation, all: readonly string[]): string[] {
  switch (phase) {
    case "announce":
      return all.filter((peer) => peers[peer] === undefined);
    case "retire":
      // Who came later was never told of the old one.
      return all.filter((peer) => peers[peer] === "announced");
    case "relink":
      return all.filter((peer) => peers[peer] === undefined && (only === null || only.includes(peer)));
    case "switch":
    case "done":
      return [];
  }
}

export function describeRotation(
  site: string,
  rotation: Rotation,
  now: { readonly peers: readonly string[]; readonly answers: PeerAnswers; readonly failure: string | null },
): RotationReport {
  const { epoch: _epoch, only: _only, peers: progress, ...told } = rotation;
  const waiting = new Set(waitingPeers(rotation, now.peers));
  const names = [...new Set([...waiting, ...Object.keys(progress)])].toSorted();
  const open = rotation.phase !== "done";
  return {
    ...told,
    failure: open ? now.failure : null,
    peers: names.map((peer): RotationPeer => {
      if (waiting.has(peer))
        return { peer, state: "waiting", why: now.answers.get(peer) ?? null, remedy: null };
      if (progress[peer] !== "skipped") return { peer, state: "confirmed", why: null, remedy: null };
      return { peer, state: "skipped", why: null, remedy: remedyOf(site, rotation) };
    }),
  };
}

function remedyOf(site: string, { what, next }: Rotation): string | null {
  switch (what) {
    case "key":
      return `there: leafmesh peer trust ${site} --key ${next}`;
    case "ca":
      return `there: leafmesh peer trust ${site} --peer-ca FILE, with the file that 'leafmesh ca show --out FILE' writes here`;
    case "certificate":
      return null;
  }
}
