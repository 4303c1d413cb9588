/**
 * What is wrong with a tenant's document beyond its shape: rules that can never match, routes that contradict each other,
 * what does not compile. All problems at once; paths are within the document.
 */
import type { Problem } from "../model/errors.ts";
import type { LintCode } from "../model/lint_codes.ts";
import { tenantSubjects } from "../model/names.ts";
import type { ExportPolicy, ImportPolicy } from "../model/schema/policy.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { includes, intersect, overlappingPair, reduce } from "../model/subject.ts";
import { checkRules } from "./check_rules.ts";
import { tenantSchemaProblems } from "./schema/registry.ts";

interface Context {
  readonly site: string;
  readonly tenant: TenantDocument;
  readonly peers: readonly string[];
  readonly report: (path: string, message: string, code?: LintCode) => void;
}

/** Checks a tenant of `site`, which has links with `peers`. */
export function checkTenant(site: string, tenant: TenantDocument, peers: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const context: Context = {
    site,
    tenant,
    peers,
    report: (path, message, code) =>
      problems.push({ path, message, ...(code === undefined ? {} : { code }) }),
  };
  const name = tenant.tenant;
  if (name === site) {
    context.report("tenant", `Tenant '${name}' has the name of the site: both are first tokens of subjects`);
  }
  if (peers.includes(name)) {
    context.report("tenant", `Tenant '${name}' has the name of a peer: both are first tokens of subjects`);
  }
  checkExports(context);
  checkImports(context);
  problems.push(...tenantSchemaProblems(tenant));
  for (const [index, policy] of (tenant.exports ?? []).entries()) {
    problems.push(...checkRules(policy, `exports[${index}]`));
  }
  return problems;
}

function checkExports(context: Context): void {
  const { site, tenant, report } = context;
  const names = new Map<string, number>();
  const taken = new Map<string, ExportPolicy>();
  for (const [index, policy] of (tenant.exports ?? []).entries()) {
    const at = `exports[${index}]`;
    const earlier = names.get(policy.name);
    if (earlier !== undefined)
      report(`${at}.name`, `Export '${policy.name}' has the name of exports[${earlier}]`);
    else names.set(policy.name, index);
    checkOrigin(context, policy, at);

    const origin = policy.origin ?? site;
    for (const [place, peer] of policy.to.entries()) {
      const path = `${at}.to[${place}]`;
      if (checkPeer(context, peer, path, "export to") && peer === origin) {
        report(
          path,
          `Export '${policy.name}' sends events of '${origin}' back to where they come from`,
          "loop",
        );
      }
      const other = taken.get(`${origin} ${peer}`);
      if (other === policy) report(path, `Peer '${peer}' is named twice`);
      else if (other !== undefined) {
        report(
          path,
          `Peer '${peer}' already gets events of '${origin}' by export '${other.name}': one policy decides for a peer`,
          "overlapping-exports",
        );
      } else taken.set(`${origin} ${peer}`, policy);
    }
    for (const [ruleIndex, rule] of policy.rules.entries()) {
      checkNamespace(context, rule.subjects, `${at}.rules[${ruleIndex}].subjects`);
    }
  }
}

function checkOrigin({ site, tenant, report }: Context, policy: ExportPolicy, at: string): void {
  const { origin } = policy;
  if (origin === undefined || origin === site) return;
  const imported = (tenant.imports ?? []).some((one) => originOf(one) === origin);
  if (!imported) {
    report(
      `${at}.origin`,
      `Export '${policy.name}' passes on events of '${origin}', which no import of '${tenant.tenant}' brings here`,
    );
  }
}

function originOf(policy: ImportPolicy): string {
  return policy.origin ?? policy.from;
}

function checkImports(context: Context): void {
  const { site, tenant, report } = context;
  const taken = new Map<string, ImportPolicy>();
  for (const [index, policy] of (tenant.imports ?? []).entries()) {
    const at = `imports[${index}]`;
    checkPeer(context, policy.from, `${at}.from`, "import from");
    const origin = originOf(policy);
    if (policy.origin === site) {
      report(
        `${at}.origin`,
        `Import from '${policy.from}' would bring back our own events ('${site}')`,
        "loop",
      );
    }
    const other = taken.get(origin);
    if (other?.from === policy.from) {
      report(`${at}.from`, `Events of '${origin}' are imported from '${policy.from}' twice`);
    } else if (other !== undefined) {
      report(
        `${at}.from`,
        `Events of '${origin}' are already imported from '${other.from}': over two paths each would arrive twice`,
        "two-paths",
      );
    } else taken.set(origin, policy);
    checkNamespace(context, policy.subjects, `${at}.subjects`);
    checkFilters(context, policy, `${at}.subjects`);
  }
}

/** Reports a name that is no peer; whether it is one. */
function checkPeer({ site, peers, report }: Context, peer: string, path: string, verb: string): boolean {
  if (peer === site) {
    report(path, `'${peer}' is this site: there is nothing to ${verb} itself`);
    return false;
  }
  if (!peers.includes(peer)) {
    const known = peers.length === 0 ? "this site has none" : `known are ${peers.join(", ")}`;
    report(path, `'${peer}' is no peer of this site (${known})`);
    return false;
  }
  return true;
}

function checkNamespace({ tenant, report }: Context, subjects: readonly string[], at: string): void {
  const namespace = tenantSubjects(tenant.tenant);
  for (const [index, subject] of subjects.entries()) {
    if (!includes(namespace, subject)) {
      report(`${at}[${index}]`, `'${subject}' is outside the tenant's subjects ('${namespace}')`);
    }
  }
}

/** The filters of a consumer may not overlap; one inside another is left out, a partial overlap cannot be. */
function checkFilters({ report }: Context, policy: ImportPolicy, at: string): void {
  const pair = overlappingPair(reduce(policy.subjects));
  if (pair === null) return;
  const [left, right] = pair;
  report(
    `${at}[${policy.subjects.indexOf(right)}]`,
    `'${left}' and '${right}' overlap partially (both hold '${intersect(left, right)}'), and the server cannot filter by both`,
  );
}
