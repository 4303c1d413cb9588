/** What is wrong with the rules of one export policy: what does not compile, and what can never happen. */
import type { Problem } from "../model/errors.ts";
import type { LintCode } from "../model/lint_codes.ts";
import type { ExportPolicy, Rule } from "../model/schema/policy.ts";
import { includes, intersect, overlaps } from "../model/subject.ts";
import { Uncovered } from "../model/subject_cover.ts";
import { ruleProblems } from "./compile.ts";
import { rewriteConflicts } from "./rewrite_check.ts";
import { compileRoute, describeRule } from "./route.ts";

/** A rule with its place in the policy. */
interface Placed {
  readonly rule: Rule;
  readonly index: number;
  readonly label: string;
}

/** Checks the rules of a policy; paths begin with `at`. */
export function checkRules(policy: ExportPolicy, at: string): Problem[] {
  const problems: Problem[] = [];
  const earlier: Placed[] = [];
  let exportsSomething = false;
  for (const placed of placedRules(policy)) {
    const { rule, index, label } = placed;
    const path = `${at}.rules[${index}]`;
    problems.push(...ruleProblems(rule, path));
    const takers = rule.subjects.map((pattern) => takersOf(pattern, earlier));
    if (takers.every((found) => found !== null)) {
      const found = [...new Set(takers.flatMap((one) => one ?? []))];
      const code = lostCode(rule, found) ?? "unreachable-rule";
      const message = `${upper(label)} can never match: ${labelsOf(found)} takes all its subjects`;
      problems.push({ path, message, code });
    } else {
      for (const [place, found] of takers.entries()) {
        if (found === null || isPlain(rule)) continue;
        const message = `${upper(label)} never sees '${rule.subjects[place]}': ${labelsOf(found)} takes it`;
        const code = lostCode(rule, found) ?? "shadowed-subject";
        problems.push({ path: `${path}.subjects[${place}]`, message, code });
      }
      if (rule.deny !== true) exportsSomething = true;
    }
    if (rule.when === undefined) earlier.push(placed);
  }
  problems.push(...rewriteConflicts(policy, at));
  const route = compileRoute(policy);
  if (!exportsSomething || (route.type === "native" && route.subjects.length === 0)) {
    const message = `Export '${policy.name}' lets nothing out`;
    problems.push({ path: `${at}.rules`, message, code: "nothing-exported" });
  }
  return problems;
}

/** What is let out as it is by one rule, of what a later rule would hide: nothing is refused for it. */
export interface PartlyLost {
  readonly path: string;
  readonly message: string;
  readonly code: "redaction-partly-bypassed" | "deny-partly-after-allow";
  /** Path of the rule that comes first. */
  readonly before: string;
}

/**
 * Rules that hide or deny less than their subjects say, because an earlier rule takes a part of them across: neither of the
 * two patterns holds the other. An earlier rule within the later one is an exception from it, and meant.
 */
export function partlyLost(policy: ExportPolicy, at: string): PartlyLost[] {
  const rules = placedRules(policy);
  return rules.flatMap(({ rule, index, label }) => {
    if (rule.deny !== true && rule.redact === undefined) return [];
    const code = rule.deny === true ? "deny-partly-after-allow" : "redaction-partly-bypassed";
    const before = rules.slice(0, index).filter((one) => letsOutAsIs(one.rule));
    return rule.subjects.flatMap((pattern, place) =>
      before.flatMap((first) =>
        first.rule.subjects.flatMap((taken, taking) => {
          if (!overlaps(taken, pattern) || includes(taken, pattern) || includes(pattern, taken)) return [];
          const shared = intersect(taken, pattern);
          const verb = rule.deny === true ? "denies" : "redacts";
          return [
            {
              path: `${at}.rules[${index}].subjects[${place}]`,
              message: `${upper(label)} ${verb} '${pattern}', but ${first.label} lets '${shared}' out before it as it is`,
              code,
              before: `${at}.rules[${first.index}].subjects[${taking}]`,
            },
          ];
        }),
      ),
    );
  });
}

function placedRules(policy: ExportPolicy): Placed[] {
  return policy.rules.map((rule, index) => ({ rule, index, label: describeRule(rule, index) }));
}

/** Whether a rule only adds subjects: what is there already is harmless; what was meant to hide something is not. */
function isPlain({ name: _, subjects: _subjects, ...rest }: Rule): boolean {
  return Object.values(rest).every((value) => value === undefined);
}

function letsOutAsIs(rule: Rule): boolean {
  return rule.when === undefined && rule.deny !== true && rule.redact === undefined;
}

/** Rules that stand before and together take every subject of `pattern`, whatever the event; `null` when some are left. */
function takersOf(pattern: string, earlier: readonly Placed[]): Placed[] | null {
  const left = new Uncovered(pattern);
  const takers: Placed[] = [];
  for (const placed of earlier) {
    const mine = placed.rule.subjects.filter((cut) => overlaps(cut, pattern));
    if (mine.length === 0) continue;
    for (const cut of mine) left.cut(cut);
    takers.push(placed);
    if (left.example === null) return takers;
  }
  return null;
}

/** The code where a rule that hides something comes behind rules that let out what it would hide. */
function lostCode(rule: Rule, takers: readonly Placed[]): LintCode | null {
  if (rule.deny === true) return takers.some((one) => one.rule.deny !== true) ? "deny-after-allow" : null;
  if (rule.redact === undefined) return null;
  return takers.some((one) => letsOutAsIs(one.rule)) ? "redaction-bypassed" : null;
}

function labelsOf(rules: readonly Placed[]): string {
  return rules.map(({ label }) => label).join(" and ");
}

function upper(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
