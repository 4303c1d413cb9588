/** What is wrong with the state of a site as a whole: peers, tenants and users that contradict each other. Pure. */
import { type DesiredState, desiredTenant } from "../model/desired.ts";
import { formatProblem, LeafmeshError, type Problem } from "../model/errors.ts";
import type { Peer, SiteFile } from "../model/schema/site.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { duplicateKeys } from "../nats/config_keys.ts";
import type { PublicSiteKeys } from "../nats/keys.ts";
import { checkTenant } from "../policy/check.ts";
import { checkGuards, type Guards } from "../policy/check_guards.ts";
import { newSchemaProblems } from "../policy/schema/change.ts";
import { checkUsers } from "./check_users.ts";

/**
 * All problems of a state; paths are those of a site file.
 * @param own keys of this site, which no app and no peer may have; left out where they are not known.
 * @param guards what the site file declares beside the policies: no policy may break it.
 */
export function checkState(
  site: string,
  tenants: readonly TenantDocument[],
  peers: readonly Peer[],
  own?: PublicSiteKeys,
  guards: Guards = {},
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
    for (const problem of [...checkTenant(site, tenant, names), ...checkUsers(tenant)]) {
      problems.push({ ...problem, path: problem.path === "" ? path : `${path}.${problem.path}` });
    }
  }
  problems.push(...checkGuards(site, tenants, guards));
  // Keys alone count here.
  const bare = tenants.map(({ schemas: _schemas, ...tenant }) => desiredTenant(tenant));
  problems.push(...duplicateKeys({ site, peers, tenants: bare }, own));
  return problems;
}

/** All problems of a site file, as the state that it describes. Schemas are new with it; those of a state were checked when they came. */
export function checkSiteFile(file: SiteFile): Problem[] {
  const tenants = file.tenants ?? [];
  return [
    ...checkState(file.site, tenants, file.peers ?? [], undefined, file),
    ...tenants.flatMap(({ schemas = [] }, index) => newSchemaProblems(schemas, `tenants[${index}].schemas`)),
  ];
}

/**
 * Holds a state that is there already against what the site file of now declares.
 * @throws {LeafmeshError} `config_invalid` where a policy breaks it: the site must not send what it forbids
 */
export function requireAllowed({ site, tenants }: DesiredState, guards: Guards): void {
  const guarded = tenants.map(({ name, exports, imports }) => ({ tenant: name, exports, imports }));
  const problems = checkGuards(site, guarded, guards);
  if (problems.length === 0) return;
  const list = problems.map((problem) => `\n  ${formatProblem(problem)}`).join("");
  throw new LeafmeshError(
    "config_invalid",
    `The site file forbids what policies of the state let out. To change them, start without that 'forbid':${list}`,
    { problems },
  );
}
