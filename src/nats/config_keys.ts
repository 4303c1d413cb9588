/** Keys that stand for two users: nats-server tells users apart by their keys alone, and refuses such a configuration. */
import type { DesiredState } from "../model/desired.ts";
import type { Problem } from "../model/errors.ts";
import type { PublicSiteKeys } from "./keys.ts";

/** Every key that has an owner already, with its path in the site file; empty when all is well. */
export function duplicateKeys(desired: DesiredState, own?: PublicSiteKeys): Problem[] {
  const owners = new Map<string, string>();
  const ours: readonly (readonly [string | undefined, string])[] = [
    [own?.sys, "this sidecar in the system account"],
    [own?.mesh, "this sidecar in MESH"],
    // Not a user here; a peer with our own key would be ourselves.
    [own?.site, "this site"],
  ];
  for (const [key, owner] of ours) if (key !== undefined) owners.set(key, owner);
  const problems: Problem[] = [];
  const claim = (key: string, path: string) => {
    const owner = owners.get(key);
    if (owner === undefined) owners.set(key, path);
    else problems.push({ path: `${path}.key`, message: `${key} is already the key of ${owner}` });
  };
  for (const [i, peer] of desired.peers.entries()) {
    for (const key of [peer.key, peer.nextKey]) if (key !== undefined) claim(key, `peers[${i}]`);
  }
  for (const [i, tenant] of desired.tenants.entries()) {
    for (const [j, user] of tenant.users.entries()) {
      if (user.key !== undefined) claim(user.key, `tenants[${i}].users[${j}]`);
    }
  }
  return problems;
}
