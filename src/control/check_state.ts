/** What is wrong with the state of a site as a whole: peers, tenants and users that contradict each other. Pure. */
import { desiredTenant } from "../model/desired.ts";
import type { Problem } from "../model/errors.ts";
import type { Peer } from "../model/schema/site.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { duplicateKeys } from "../nats/config_keys.ts";
import type { PublicSiteKeys } from "../nats/keys.ts";
import { checkTenant } from "../policy/check.ts";

/**
 * All problems of a state; paths are those of a site file.
 * @param own keys of this site, which no app and no peer may have; left out where they are not known.
 */
export function checkState(
  site: string,
  tenants: readonly TenantDocument[],
  peers: readonly Peer[],
  own?: PublicSiteKeys,
): Problem[] {
  const names = peers.map((peer) => peer.name);
  const problems: Problem[] = [];
  const report = (path: string, message: string) => problems.push({ path, message });

  for (const [index, peer] of peers.entries()) {
    const path = `peers[${index}]`;
    if (peer.name === site) report(`${path}.name`, `Peer '${peer.name}' is this site itself`);
    const first = names.indexOf(peer.name);
    if (first !== index) report(`${path}.name`, `Peer '${peer.name}' is there already, as peers[${first}]`);
  }

  for (const [index, tenant] of tenants.entries()) {
    const path = `tenants[${index}]`;
    const first = tenants.findIndex((other) => other.tenant === tenant.tenant);
    if (first !== index) {
      report(`${path}.tenant`, `Tenant '${tenant.tenant}' is there already, as tenants[${first}]`);
    }
    for (const problem of checkTenant(site, tenant, names)) {
      problems.push({ ...problem, path: problem.path === "" ? path : `${path}.${problem.path}` });
    }
  }
  problems.push(...duplicateKeys({ site, peers, tenants: tenants.map(desiredTenant) }, own));
  return problems;
}
