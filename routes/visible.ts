/** What a tenant-admin sees and may change: its tenant, and of the site what the tenant needs. For others everything. */
import { isDeepStrictEqual } from "node:util";
import type { Context } from "hono";
import type { PlanReport } from "../src/control/api.ts";
import type { LinkReport } from "../src/control/link_api.ts";
import type { SiteReport } from "../src/control/site_api.ts";
import { type Alarm, countAlarms } from "../src/model/alarms.ts";
import { LeafmeshError, type Problem } from "../src/model/errors.ts";
import { parseStreamName, tenantAccount } from "../src/model/names.ts";
import type { TenantSettings } from "../src/model/schema/tenant.ts";
import { maySeePayloads } from "./authorization.ts";
import type { ApiEnv } from "./options.ts";

/** What a tenant-admin may change of its tenant: not what it costs the site. New fields are the operator's until they stand here. */
const OWN_FIELDS: ReadonlySet<string> = new Set(["users", "sensitive"] satisfies (keyof TenantSettings)[]);

/** The one tenant that exists for who asks; `null`: all do. */
export function onlyTenant(c: Context<ApiEnv>): string | null {
  const principal = c.get("principal");
  if (principal?.role !== "tenant-admin") return null;
  // A name that no tenant can have: without one, nothing is there.
  return principal.tenant ?? "";
}

/** Hides the other tenants. @throws LeafmeshError `not_found`, as for one that is not there */
export function requireVisible(c: Context<ApiEnv>, tenant: string): void {
  const only = onlyTenant(c);
  if (only !== null && only !== tenant) throw noTenant(tenant);
}

/** For a tenant that is not there. */
export function noTenant(tenant: string): LeafmeshError {
  return new LeafmeshError("not_found", `There is no tenant '${tenant}'`);
}

/** A tenant's settings without the hashes of passwords, for who cannot write them back. */
export function visibleSettings(c: Context<ApiEnv>, settings: TenantSettings): TenantSettings {
  if (settings.users === undefined || seesPayloads(c)) return settings;
  return { ...settings, users: settings.users.map(({ passwordHash: _hash, ...user }) => user) };
}

/** Whether who asks may see events as they were published. */
export function seesPayloads(c: Context<ApiEnv>): boolean {
  const principal = c.get("principal");
  return principal !== undefined && maySeePayloads(principal.role);
}

/** @throws LeafmeshError `forbidden` for a role that may not see payloads */
export function requirePayloads(c: Context<ApiEnv>): void {
  if (seesPayloads(c)) return;
  const { role, name } = c.get("principal") ?? { role: "nobody", name: "" };
  throw new LeafmeshError("forbidden", `The role ${role} of '${name}' may not see payloads`);
}

/** Refuses to a tenant-admin what is the operator's of a tenant. @throws LeafmeshError `forbidden` */
export function requireOwnFields(
  c: Context<ApiEnv>,
  before: TenantSettings | undefined,
  after: TenantSettings,
): void {
  if (onlyTenant(c) === null) return;
  const was: Readonly<Record<string, unknown>> = { ...before };
  const will: Readonly<Record<string, unknown>> = { ...after };
  const problems: Problem[] = [...new Set([...Object.keys(was), ...Object.keys(will)])]
    .filter((field) => !OWN_FIELDS.has(field) && !isDeepStrictEqual(was[field], will[field]))
    .map((field) => ({ path: field, message: `'${field}' is changed by an operator only` }));
  for (const [index, user] of (after.users ?? []).entries()) {
    const same = (before?.users ?? []).some((one) => isDeepStrictEqual(one, user));
    if (isOwner(user) && !same) {
      problems.push({
        path: `users[${index}]`,
        message: "a user of role owner is made or changed by an operator only",
      });
    }
  }
  if (problems.length === 0) return;
  const text = problems.map(({ message }) => message).join("; ");
  throw new LeafmeshError("forbidden", `A tenant-admin may not change this: ${text}`, { problems });
}

function isOwner(user: object): boolean {
  return "role" in user && user.role === "owner";
}

/** Links with the routes of one tenant, and nothing of where peers are or what else goes wrong. */
export function visibleLinks(c: Context<ApiEnv>, links: readonly LinkReport[]): readonly LinkReport[] {
  const only = onlyTenant(c);
  if (only === null) return links;
  return links.map(({ routes, connected, ...link }) => ({
    ...link,
    connected,
    address: null,
    why: connected ? null : "the link is down",
    routes: routes.filter(({ tenant }) => tenant === only),
  }));
}

/** The alarms of one tenant; those of the site itself are not among them. */
export function visibleAlarms(c: Context<ApiEnv>, alarms: readonly Alarm[]): readonly Alarm[] {
  const only = onlyTenant(c);
  return only === null ? alarms : alarms.filter(({ tenant }) => tenant === only);
}

/** The site with the count of the alarms that who asks may see. */
export function visibleSite(c: Context<ApiEnv>, site: SiteReport, alarms: readonly Alarm[]): SiteReport {
  const counted = { ...site, alarms: countAlarms(visibleAlarms(c, alarms)) };
  // What others take of the disk is not a tenant's to know.
  return onlyTenant(c) === null ? counted : { ...counted, store: null };
}

/** A plan with the steps, notes and routes of one tenant. */
export function visiblePlan(c: Context<ApiEnv>, plan: PlanReport): PlanReport {
  const only = onlyTenant(c);
  if (only === null) return plan;
  return {
    revision: plan.revision,
    steps: plan.steps.filter(({ target }) => tenantOfTarget(target) === only),
    notes: plan.notes.filter((note) => note.startsWith(`export ${only}/`)),
    routes: plan.routes.filter(({ tenant }) => tenant === only),
  };
}

/** The tenant of what a step is done to: `MESH/out_acme/tokyo`, `T_acme/acme`, `acme/eu-orders`; `null`: the site's. */
function tenantOfTarget(target: string): string | null {
  const [first = "", second] = target.split("/");
  if (second === undefined) return null;
  if (first === "MESH") return parseStreamName(second)?.tenant ?? null;
  if (first === tenantAccount(second)) return second;
  return /^[a-z]/.test(first) ? first : null;
}

/**
 * An error as a tenant-admin may read it: what is wrong elsewhere is told without what and where. A key that another
 * tenant's user has is the one thing that shows: that it is taken.
 */
export function visibleError(c: Context<ApiEnv>, error: LeafmeshError): LeafmeshError {
  if (onlyTenant(c) === null || error.problems.length === 0) return error;
  const elsewhere = ({ path, message }: Problem) =>
    /(?:^|\W)(?:tenants|peers)\[\d/.test(`${path} ${message}`);
  if (!error.problems.some(elsewhere)) return error;
  const problems = error.problems.map((problem) => {
    if (!elsewhere(problem)) return problem;
    const path = /^(?:tenants|peers)\[/.test(problem.path) ? "" : problem.path;
    return { path, message: "this cannot be used here: it is taken, or the site does not allow it" };
  });
  const text = problems
    .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`))
    .join("; ");
  return new LeafmeshError(error.code, `It cannot be changed so: ${text}`, { problems });
}
