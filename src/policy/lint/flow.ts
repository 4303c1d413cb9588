/**
 * What a rule, a policy and an import let through of a set of subjects. First match wins: what a rule without a condition
 * takes, no later rule sees; what a rule with one takes, later rules may see too.
 */
import type { ExportPolicy } from "../../model/schema/policy.ts";
import { overlaps } from "../../model/subject.ts";
import { outsideOf } from "../../model/subject_cover.ts";
import { type Treatment, treatmentOf } from "./fields.ts";
import type { RewriteTerm } from "./rewrite.ts";
import { narrowTo, patternOf, type Substitution, substitute, type Term, type Wildcards } from "./terms.ts";

/** A set of events on their way: what they were published under, and what they are called now. */
export interface Flow {
  /** The subjects as they were published: every wildcard stands in it once. */
  readonly source: Term;
  readonly now: Term;
  /** Published subjects that do not come this far, although `source` holds them. */
  readonly cuts: readonly string[];
}

/** What one rule lets out of a flow. */
export interface RuleFlow extends Flow {
  readonly rule: number;
  /** Place of the pattern in the rule's subjects. */
  readonly subject: number;
  readonly treatment: Treatment;
}

/** All that is published under a pattern. */
export function publishedFlow(pattern: string, wildcards: Wildcards): Flow {
  const term = wildcards.term(pattern);
  return { source: term, now: term, cuts: [] };
}

/** A published subject of the flow (`*` for any token that no policy names), or `null`: the flow is empty. */
export function exampleOf(flow: Flow): string | null {
  return outsideOf(patternOf(flow.source), flow.cuts);
}

function isEmpty(flow: Flow): boolean {
  return flow.cuts.length > 0 && exampleOf(flow) === null;
}

/** The part of a flow whose subjects of now are in `pattern`; `null` when there is none. */
export function narrowFlow(flow: Flow, pattern: string, wildcards: Wildcards): Flow | null {
  const found = narrowTo(flow.now, pattern, wildcards);
  if (found === null) return null;
  const narrowed = narrow(flow, found);
  return isEmpty(narrowed) ? null : narrowed;
}

/** What an import accepts of a flow: a part for each of its patterns. */
export function importFlow(flow: Flow, subjects: readonly string[], wildcards: Wildcards): Flow[] {
  return subjects.flatMap((pattern) => narrowFlow(flow, pattern, wildcards) ?? []);
}

/** What a policy may let out of a flow: a part for each rule and pattern. */
export function exportFlow(
  flow: Flow,
  policy: Pick<ExportPolicy, "rules">,
  rewrite: RewriteTerm,
  wildcards: Wildcards,
): RuleFlow[] {
  const out: RuleFlow[] = [];
  const taken: string[] = [];
  for (const [index, rule] of policy.rules.entries()) {
    // Within a rule the first pattern that matches counts: it gives a rewrite its wildcards.
    const own: string[] = [];
    for (const [subject, pattern] of rule.subjects.entries()) {
      const found = narrowTo(flow.now, pattern, wildcards);
      if (found === null) continue;
      const part = narrow(flow, found);
      const source = patternOf(part.source);
      const cuts = [...part.cuts, ...[...taken, ...own].filter((cut) => overlaps(cut, source))];
      own.push(source);
      if (rule.deny === true) continue;
      const left = { ...part, now: rewrite(rule, pattern, part.now), cuts };
      if (!isEmpty(left)) out.push({ ...left, rule: index, subject, treatment: treatmentOf(rule) });
    }
    if (rule.when !== undefined || own.length === 0) continue;
    taken.push(...own);
    // Nothing is left for the rules behind.
    if (outsideOf(patternOf(flow.source), [...flow.cuts, ...taken]) === null) break;
  }
  return out;
}

function narrow(flow: Flow, found: Substitution): Flow {
  const source = substitute(flow.source, found);
  const now = substitute(flow.now, found);
  if (flow.cuts.length === 0) return { source, now, cuts: [] };
  const pattern = patternOf(source);
  return { source, now, cuts: flow.cuts.filter((cut) => overlaps(cut, pattern)) };
}
