/** Whether what one side exports is what the other side imports, tenant by tenant. */
import type { Finding } from "../../model/finding.ts";
import { tenantSubjects } from "../../model/names.ts";
import { exportFlow, narrowFlow, publishedFlow, type RuleFlow } from "./flow.ts";
import { finding, type Mesh, type MeshSite, type PlacedExport, type PlacedImport, placed } from "./mesh.ts";
import type { LintWork } from "./paths.ts";
import type { RewriteTerm } from "./rewrite.ts";
import { patternOf, Wildcards } from "./terms.ts";
import { listOf } from "./wording.ts";

/** What an export may let out, whatever comes in. */
interface Offered {
  readonly exported: PlacedExport;
  readonly flows: readonly RuleFlow[];
}

/** Imports, exports and tenants without their counterpart at the other side of a link. */
export function findDisagreements(mesh: Mesh, rewrite: RewriteTerm, work: LintWork): Finding[] {
  const imports = Map.groupBy(mesh.imports, ({ site, tenant, origin, policy }) =>
    keyOf(tenant, origin, policy.from, site.name),
  );
  const exports = new Map<string, Offered[]>();
  const findings: Finding[] = [];
  const wildcards = new Wildcards();
  for (const exported of mesh.exports) {
    work.flows += 1;
    const all = publishedFlow(tenantSubjects(exported.tenant), wildcards);
    const offered = { exported, flows: exportFlow(all, exported.policy, rewrite, wildcards) };
    const taken: PlacedImport[] = [];
    for (const [place, peer] of exported.policy.to.entries()) {
      const key = keyOf(exported.tenant, exported.origin, exported.site.name, peer);
      exports.set(key, [...(exports.get(key) ?? []), offered]);
      taken.push(...(imports.get(key) ?? []));
      if (!imports.has(key)) findings.push(...untaken(mesh, exported, peer, place));
    }
    findings.push(...unwanted(mesh, offered, taken, wildcards));
  }
  for (const imported of mesh.imports) {
    const key = keyOf(imported.tenant, imported.origin, imported.policy.from, imported.site.name);
    findings.push(...unoffered(mesh, imported, exports.get(key) ?? [], wildcards));
  }
  return findings;
}

function keyOf(tenant: string, origin: string, from: string, to: string): string {
  return JSON.stringify([tenant, origin, from, to]);
}

/** The other side of a flow, where the files have it and both name each other: else it is told of the link. */
function otherSide(mesh: Mesh, site: MeshSite, peer: string): MeshSite | null {
  return peer !== site.name && mesh.linked(site.name, peer) ? (mesh.sites.get(peer) ?? null) : null;
}

/** An export to a peer that imports nothing of it. */
function untaken(mesh: Mesh, exported: PlacedExport, peer: string, place: number): Finding[] {
  const { site, tenant, origin, policy, path } = exported;
  const other = otherSide(mesh, site, peer);
  if (other === null) return [];
  const to = { site, path: `${path}.to[${place}]` };
  if (!other.tenants.has(tenant)) return [tenantMissing(tenant, other, to)];
  const message = `Export '${policy.name}' sends events of '${tenant}' from '${origin}' to '${peer}', which does not import them from '${site.name}'`;
  return [finding("export-without-import", to, message, [tenantPlace(other, tenant)])];
}

/** Subjects of an export that none of its peers accepts, where the files of all of them are there. */
function unwanted(
  mesh: Mesh,
  { exported, flows }: Offered,
  imports: readonly PlacedImport[],
  wildcards: Wildcards,
): Finding[] {
  const { site, policy, path } = exported;
  if (imports.length === 0 || policy.to.some((peer) => otherSide(mesh, site, peer) === null)) return [];
  const accepted = imports.flatMap((one) => one.policy.subjects);
  const related = imports.map((one) =>
    placed(one.site, `${one.path}.subjects`, `what ${one.site.name} accepts`),
  );
  const peers = [...new Set(imports.map((one) => `'${one.site.name}'`))];
  const nobody =
    peers.length === 1 ? `${peers[0]} accepts nothing` : `None of ${listOf(peers)} accepts anything`;
  return flows.flatMap((flow) => {
    if (accepted.some((one) => narrowFlow(flow, one, wildcards) !== null)) return [];
    const at = { site, path: `${path}.rules[${flow.rule}].subjects[${flow.subject}]` };
    return [finding("subject-without-import", at, `${nobody} of '${patternOf(flow.now)}'`, related)];
  });
}

function unoffered(
  mesh: Mesh,
  imported: PlacedImport,
  offers: readonly Offered[],
  wildcards: Wildcards,
): Finding[] {
  const { site, tenant, origin, policy, path } = imported;
  const other = otherSide(mesh, site, policy.from);
  if (other === null) return [];
  const from = { site, path: `${path}.from` };
  if (!other.tenants.has(tenant)) return [tenantMissing(tenant, other, from)];
  if (offers.length === 0) {
    const message = `'${policy.from}' exports no events of '${tenant}' from '${origin}' to '${site.name}'`;
    return [finding("import-without-export", from, message, [tenantPlace(other, tenant)])];
  }
  const related = offers.map(({ exported }) =>
    placed(other, `${exported.path}.rules`, `what ${other.name} exports`),
  );
  return policy.subjects.flatMap((pattern, place) => {
    const offered = offers.some(({ flows }) =>
      flows.some((flow) => narrowFlow(flow, pattern, wildcards) !== null),
    );
    if (offered) return [];
    const message = `'${policy.from}' exports nothing of '${pattern}' to '${site.name}'`;
    return [
      finding("subject-without-export", { site, path: `${path}.subjects[${place}]` }, message, related),
    ];
  });
}

function tenantMissing(
  tenant: string,
  other: MeshSite,
  at: { readonly site: MeshSite; readonly path: string },
): Finding {
  const message = `'${other.name}' has no tenant '${tenant}'`;
  const where = other.value.tenants === undefined ? "site" : "tenants";
  return finding("tenant-missing", at, message, [placed(other, where, `the tenants of ${other.name}`)]);
}

function tenantPlace(site: MeshSite, tenant: string) {
  return placed(site, `${site.tenants.get(tenant)?.path ?? ""}.tenant`, `tenant ${tenant} at ${site.name}`);
}
