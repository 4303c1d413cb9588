/** What is wrong with the state of a site as a whole: peers, tenants and users that contradict each other. Pure. */
import type { Problem } from "../model/errors.ts";
import type { Peer } from "../model/schema/site.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { checkTenant } from "../policy/check.ts";

/** All problems of a state; paths are those of a site file. */
export function checkState(
  site: string,
  tenants: readonly TenantDocument[],
  peers: readonly Peer[],
): Problem[] {
  const names = peers.map((peer) => peer.name);
  const problems: Problem[] = [];
  const report = (path: string, message: string) => problems.push({ path, message });

  for (const [index, peer] of peers.entries()) {
    const path = `peers[${index}]`;
    if (peer.name === site) report(`${path}.name`, `Peer '${peer.name}' is this site itself`);
    const first = names.indexOf(peer.name);
    if (first !== index) report(`${path}.name`, `Peer '${peer.name}' is there already, as peers[${first}]`);
    const sameKey = peers.findIndex((other) => other.key === peer.key);
    if (sameKey !== index) {
      report(
        `${path}.key`,
        `Peer '${peer.name}' has the key of peer '${peers[sameKey]?.name}': each site has its own`,
      );
    }
  }

  const users = new Map<string, string>();
  for (const [index, tenant] of tenants.entries()) {
    const path = `tenants[${index}]`;
    const first = tenants.findIndex((other) => other.tenant === tenant.tenant);
    if (first !== index) {
      report(`${path}.tenant`, `Tenant '${tenant.tenant}' is there already, as tenants[${first}]`);
    }
    for (const [place, user] of (tenant.users ?? []).entries()) {
      const owner = users.get(user.key);
      if (owner !== undefined) {
        report(
          `${path}.users[${place}].key`,
          `User '${user.name}' of '${tenant.tenant}' has the key of ${owner}`,
        );
      }
      users.set(user.key, `user '${user.name}' of '${tenant.tenant}'`);
      if (names.length > 0 && peers.some((peer) => peer.key === user.key)) {
        report(
          `${path}.users[${place}].key`,
          `User '${user.name}' has the key of a peer: apps and sites have their own`,
        );
      }
    }
    for (const problem of checkTenant(site, tenant, names)) {
      problems.push({ ...problem, path: problem.path === "" ? path : `${path}.${problem.path}` });
    }
  }
  return problems;
}
