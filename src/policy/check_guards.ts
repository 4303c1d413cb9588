/**
 * What a site declares beside its policies, held against them: a policy that would let a forbidden flow out is refused by the
 * site that exports. It counts only its own rules: what other sites do with the events it cannot know.
 */
import type { Problem } from "../model/errors.ts";
import { tenantSubjects } from "../model/names.ts";
import type { Forbid, Sensitive } from "../model/schema/guards.ts";
import type { ExportPolicy, ImportPolicy } from "../model/schema/policy.ts";
import { includes } from "../model/subject.ts";
import { isRedacted } from "./lint/fields.ts";
import { exportFlow, publishedFlow, type RuleFlow } from "./lint/flow.ts";
import { concerns } from "./lint/guards.ts";
import { rewriteOf } from "./lint/rewrite.ts";
import { patternOf, Wildcards } from "./lint/terms.ts";
import { listOf } from "./lint/wording.ts";
import { parsePath } from "./redact/path.ts";

/** What an operator declares in the site file. */
export interface Guards {
  readonly forbid?: readonly Forbid[] | undefined;
  readonly sensitive?: readonly Sensitive[] | undefined;
}

/** What is held against them: a tenant's document, or what the state has of it. */
export interface GuardedTenant {
  readonly tenant: string;
  readonly sensitive?: readonly Sensitive[] | undefined;
  readonly exports?: readonly ExportPolicy[] | undefined;
  readonly imports?: readonly ImportPolicy[] | undefined;
}

/** What is wrong with declarations, and with policies that break them; paths are those of a site file. */
export function checkGuards(site: string, tenants: readonly GuardedTenant[], guards: Guards): Problem[] {
  const forbid = guards.forbid ?? [];
  return [
    ...forbid.flatMap((one, index) => forbidProblems(one, `forbid[${index}]`)),
    ...(guards.sensitive ?? []).flatMap((one, index) => fieldProblems(one.fields, `sensitive[${index}]`)),
    ...tenants.flatMap((tenant, index) => [
      ...(tenant.sensitive ?? []).flatMap((one, at) =>
        sensitiveProblems(tenant.tenant, one, `tenants[${index}].sensitive[${at}]`),
      ),
      ...(tenant.exports ?? []).flatMap((policy, at) =>
        brokenBy({ site, tenant, policy, forbid, path: `tenants[${index}].exports[${at}]` }),
      ),
    ]),
  ];
}

function forbidProblems({ from, to, fields = [] }: Forbid, at: string): Problem[] {
  const problems = fieldProblems(fields, at);
  if (from === to && from !== "*") {
    problems.push({
      path: `${at}.to`,
      message: `'${to}' is where the events come from: there is no flow to forbid`,
    });
  }
  return problems;
}

function fieldProblems(fields: readonly string[], at: string): Problem[] {
  return fields.flatMap((field, index) => {
    const parsed = parsePath(field);
    if (parsed.type === "ok") return [];
    return [{ path: `${at}.fields[${index}]`, message: `Path '${field}' ${parsed.problem}` }];
  });
}

function sensitiveProblems(tenant: string, { fields, subjects = [] }: Sensitive, at: string): Problem[] {
  const namespace = tenantSubjects(tenant);
  const outside = subjects.flatMap((subject, index) =>
    includes(namespace, subject)
      ? []
      : [
          {
            path: `${at}.subjects[${index}]`,
            message: `'${subject}' is outside the tenant's subjects ('${namespace}')`,
          },
        ],
  );
  return [...fieldProblems(fields, at), ...outside];
}

interface Exported {
  readonly site: string;
  readonly tenant: GuardedTenant;
  readonly policy: ExportPolicy;
  readonly forbid: readonly Forbid[];
  readonly path: string;
}

/** The forbidden flows that a policy would let out: one problem for each rule, peer and declaration. */
function brokenBy({ site, tenant, policy, forbid, path }: Exported): Problem[] {
  const origin = policy.origin ?? site;
  const concerning = forbid
    .map((guard, index) => ({ guard, index }))
    .filter(({ guard }) => guard.from === "*" || guard.from === origin);
  if (concerning.length === 0) return [];
  const wildcards = new Wildcards();
  const flows = whatMayCome(site, tenant, origin).flatMap((pattern) =>
    exportFlow(publishedFlow(pattern, wildcards), policy, rewriteOf, wildcards),
  );
  return concerning.flatMap(({ guard, index }) =>
    flows.flatMap((flow) => {
      if (!concerns(flow, guard.subjects)) return [];
      const bare = guard.fields?.filter((field) => !isRedacted(field, [flow.treatment]));
      if (bare?.length === 0) return [];
      const peers = policy.to.filter((peer) => peer !== origin && (guard.to === "*" || guard.to === peer));
      if (peers.length === 0) return [];
      const what = bare === undefined ? "" : ` with ${listOf(bare)} unredacted`;
      return [
        {
          path: `${path}.rules[${flow.rule}].subjects[${flow.subject}]`,
          message: `${nameOf(flow)} of ${origin} would reach ${listOf(peers)}${what}, which forbid[${index}] forbids`,
          code: "forbidden-flow" as const,
        },
      ];
    }),
  );
}

/** Patterns of the events that a policy may be given: our own, or what imports bring of another site. */
function whatMayCome(site: string, tenant: GuardedTenant, origin: string): readonly string[] {
  const all = tenantSubjects(tenant.tenant);
  if (origin === site) return [all];
  const brought = (tenant.imports ?? [])
    .filter((one) => (one.origin ?? one.from) === origin)
    .flatMap((one) => one.subjects);
  return brought.length === 0 ? [all] : brought;
}

function nameOf(flow: RuleFlow): string {
  return `'${patternOf(flow.source)}'`;
}
