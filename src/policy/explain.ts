/** What a site would do with one event, for each peer, and why: the same code that decides, with its steps shown. */
import { unreachable } from "../model/errors.ts";
import type { Decision, MeshEvent, RuleRef } from "../model/event.ts";
import type { PolicyKeys } from "../model/keys.ts";
import type { SchemaDocument } from "../model/schema/contract.ts";
import type { ExportPolicy } from "../model/schema/policy.ts";
import { type CompiledPolicy, type CompiledRule, compilePolicy } from "./compile.ts";
import { applyRule, matchesSubject } from "./decide.ts";
import type { Workspace } from "./redact/workspace.ts";
import { compileRoute } from "./route.ts";

/** What one rule said, up to the rule that decided. */
export interface ExplainStep {
  readonly rule: RuleRef;
  readonly outcome:
    | "subject does not match"
    | "when is false"
    | "matches"
    | "matches and denies"
    | "cannot be decided"
    | `matches, and is valid by schema ${string}`
    | `is not valid by schema ${string}`;
}

export interface Explanation {
  readonly peer: string;
  readonly policy: string;
  /** Version of the policy, as events of its view carry it. */
  readonly version: string;
  readonly route: "native" | "view";
  /** Why it is a view; empty for a native route. */
  readonly why: readonly string[];
  /** What happens; a `forward` has the headers and the payload as the peer would get them. */
  readonly decision: Decision;
  readonly steps: readonly ExplainStep[];
}

export interface ExplainContext {
  readonly site: string;
  readonly tenant: string;
  readonly exports: readonly ExportPolicy[];
  readonly keys?: PolicyKeys | undefined;
  readonly schemas?: readonly SchemaDocument[] | undefined;
  /** Scratch memory to share with other policies: a new one costs more than an explanation. */
  readonly workspace?: Workspace | undefined;
}

/**
 * Explains an event: one entry for each peer of each policy that reads events of its origin. A peer without an entry gets
 * nothing.
 * @throws {LeafmeshError} `policy_invalid` when a policy does not compile
 */
export function explainEvent(context: ExplainContext, event: MeshEvent): Explanation[] {
  const { site, tenant, keys, schemas, workspace } = context;
  return context.exports
    .filter((policy) => (policy.origin ?? site) === event.origin)
    .flatMap((policy) => {
      const compiled = compilePolicy({ tenant, policy, keys, schemas, workspace });
      const route = compileRoute(policy);
      const { decision, steps } = explainPolicy(compiled, event);
      return policy.to.map(
        (peer): Explanation => ({
          peer,
          policy: policy.name,
          version: compiled.version,
          route: route.type,
          why: route.type === "view" ? route.why : [],
          decision: asRouted(decision, event, route.type),
          steps,
        }),
      );
    });
}

/** Decides an event and keeps what each rule said. */
export function explainPolicy(
  policy: CompiledPolicy,
  event: MeshEvent,
): { readonly decision: Decision; readonly steps: readonly ExplainStep[] } {
  const steps: ExplainStep[] = [];
  for (const rule of policy.rules) {
    if (!matchesSubject(rule, event.subject)) {
      steps.push({ rule: rule.ref, outcome: "subject does not match" });
      continue;
    }
    const verdict = applyRule(policy, rule, event);
    steps.push({ rule: rule.ref, outcome: outcomeOf(rule, verdict) });
    if (verdict !== null) return { decision: verdict, steps };
  }
  return { decision: { type: "drop", rule: null, reason: "no_rule" }, steps };
}

function outcomeOf(rule: CompiledRule, verdict: Decision | null): ExplainStep["outcome"] {
  if (verdict === null) return "when is false";
  switch (verdict.type) {
    case "forward":
      return rule.contract === null ? "matches" : `matches, and is valid by schema ${rule.contract.label}`;
    case "drop":
      return rule.deny ? "matches and denies" : "matches";
    case "quarantine":
      return verdict.reason === "schema_invalid" && rule.contract !== null
        ? `is not valid by schema ${rule.contract.label}`
        : "cannot be decided";
    default:
      return unreachable(verdict);
  }
}

/** What a route makes of a decision: natively the server moves the event as it is, and looks at nothing but its subject. */
export function asRouted(decision: Decision, event: MeshEvent, route: "native" | "view"): Decision {
  if (route === "view" || decision.type === "drop") return decision;
  const { subject, headers, data } = event;
  return { type: "forward", rule: decision.rule, subject, headers, data, redactions: 0 };
}
