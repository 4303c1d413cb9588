/** What is wrong with the rules of one export policy: what does not compile, and what can never happen. */
import type { Problem } from "../model/errors.ts";
import type { ExportPolicy, Rule } from "../model/schema/policy.ts";
import { overlaps, subtract } from "../model/subject.ts";
import { ruleProblems } from "./compile.ts";
import { rewriteConflicts } from "./rewrite_check.ts";
import { compileRoute, describeRule } from "./route.ts";

/** More pieces of a pattern than this are not followed any further: something is left of it. */
const MAX_PIECES = 256;

/** Checks the rules of a policy; paths begin with `at`. */
export function checkRules(policy: ExportPolicy, at: string): Problem[] {
  const problems: Problem[] = [];
  const earlier: { readonly rule: Rule; readonly label: string }[] = [];
  let exportsSomething = false;
  for (const [index, rule] of policy.rules.entries()) {
    const path = `${at}.rules[${index}]`;
    const label = describeRule(rule, index);
    problems.push(...ruleProblems(rule, path));
    const covered = rule.subjects.map((pattern) => coveredBy(pattern, earlier));
    if (covered.every((labels) => labels !== null)) {
      const labels = [...new Set(covered.flatMap((one) => one ?? []))].join(" and ");
      problems.push({ path, message: `${upper(label)} can never match: ${labels} takes all its subjects` });
    } else {
      // What adds subjects that are there already is harmless; what was meant to hide something is not.
      const plain =
        rule.deny !== true &&
        rule.redact === undefined &&
        rule.headers === undefined &&
        rule.rewrite === undefined;
      for (const [place, labels] of covered.entries()) {
        if (labels === null || (plain && rule.when === undefined)) continue;
        problems.push({
          path: `${path}.subjects[${place}]`,
          message: `${upper(label)} never sees '${rule.subjects[place]}': ${labels.join(" and ")} takes it`,
        });
      }
      if (rule.deny !== true) exportsSomething = true;
    }
    if (rule.when === undefined) earlier.push({ rule, label });
  }
  problems.push(...rewriteConflicts(policy, at));
  const route = compileRoute(policy);
  if (!exportsSomething || (route.type === "native" && route.subjects.length === 0)) {
    problems.push({ path: `${at}.rules`, message: `Export '${policy.name}' lets nothing out` });
  }
  return problems;
}

/** Names of the rules before that take every subject of `pattern`, whatever the event; `null` when some are left. */
function coveredBy(
  pattern: string,
  earlier: readonly { readonly rule: Rule; readonly label: string }[],
): string[] | null {
  let left = [pattern];
  const labels: string[] = [];
  for (const { rule, label } of earlier) {
    for (const cut of rule.subjects) {
      if (!left.some((one) => overlaps(one, cut))) continue;
      // Where patterns cannot say what is left, something is.
      left = left.flatMap((one) => subtract(one, cut) ?? [one]);
      labels.push(label);
    }
    if (left.length === 0) return [...new Set(labels)];
    if (left.length > MAX_PIECES) return null;
  }
  return null;
}

function upper(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
