/** A candidate for an export, ready to be held against the policy in force. */
import type { DesiredState } from "../model/desired.ts";
import { LeafmeshError } from "../model/errors.ts";
import { storedSubject, tenantSubjects } from "../model/names.ts";
import type { ExportPolicy, Rule } from "../model/schema/policy.ts";
import type { Contender } from "../policy/compare.ts";
import { type CompileOptions, compilePolicy } from "../policy/compile.ts";
import { type ExportPlan, planExports } from "./routes.ts";

export interface Candidacy {
  /** The stream that the export reads. */
  readonly stream: string;
  /** All events of the tenant there that have the export's origin. */
  readonly filter: string;
  readonly active: Contender;
  readonly candidate: Contender;
}

/** What compiles a policy as it runs at this site: with the tenant's keys, so that both sides give the same pseudonyms. */
export type CompileOptionsOf = (tenant: string, policy: ExportPolicy) => Promise<CompileOptions>;

/**
 * Compiles the two sides.
 * @throws {LeafmeshError} `not_found` when there is no such export, `policy_invalid` when the rules do not compile
 */
export async function candidacy(
  state: DesiredState,
  tenant: string,
  name: string,
  rules: readonly Rule[],
  optionsOf: CompileOptionsOf,
): Promise<Candidacy> {
  const plan = planOf(state, tenant, name);
  if (plan === null) throw new LeafmeshError("not_found", `There is no export ${tenant}/${name}`);
  const contender = async ({ policy, route }: ExportPlan): Promise<Contender> => ({
    policy: compilePolicy(await optionsOf(tenant, policy)),
    route: route.type,
  });
  const proposed = planOf(withRules(state, tenant, name, rules), tenant, name) ?? plan;
  return {
    stream: plan.source,
    filter: storedSubject(plan.origin, tenantSubjects(tenant)),
    active: await contender(plan),
    candidate: await contender(proposed),
  };
}

function planOf(state: DesiredState, tenant: string, name: string): ExportPlan | null {
  const plans = planExports(state);
  return plans.find((plan) => plan.tenant.name === tenant && plan.policy.name === name) ?? null;
}

function withRules(state: DesiredState, tenant: string, name: string, rules: readonly Rule[]): DesiredState {
  return {
    ...state,
    tenants: state.tenants.map((one) =>
      one.name !== tenant
        ? one
        : {
            ...one,
            exports: one.exports.map((policy) =>
              policy.name === name ? { ...policy, rules: [...rules] } : policy,
            ),
          },
    ),
  };
}
