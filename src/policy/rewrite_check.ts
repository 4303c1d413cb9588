/** What is wrong with subject rewrites when a policy is written, and what a person should know of them. */
import type { Problem } from "../model/errors.ts";
import type { ExportPolicy, Rule } from "../model/schema/policy.ts";
import { includes, intersect } from "../model/subject.ts";
import { canonical } from "./canonical.ts";
import { outputsOf, parseRewrite, patternLacks, type Renamed } from "./rewrite.ts";
import { describeRule } from "./route.ts";

/** What is wrong with the rewrite of one rule. */
export function rewriteProblems(rule: Rule): string[] {
  if (rule.rewrite === undefined) return [];
  const parsed = parseRewrite(rule.rewrite);
  if (parsed.type === "invalid") return [`Rewrite '${rule.rewrite}' ${parsed.problem}`];
  const { template } = parsed;
  const [first] = template.tokens;
  const problems: string[] = [];
  const namespaces = new Set(rule.subjects.map((pattern) => pattern.split(".")[0]));
  for (const namespace of namespaces) {
    if (first?.type === "text" && first.text === namespace && template.tokens.length > 1) continue;
    problems.push(`Rewrite '${rule.rewrite}' leaves the tenant's subjects ('${namespace}.>')`);
  }
  for (const pattern of rule.subjects) {
    const problem = patternLacks(template, pattern);
    if (problem !== null) problems.push(`Rewrite '${rule.rewrite}' ${problem}`);
  }
  return problems;
}

/** Fields of a rule that say which events leave, and when; the others say what of them leaves. */
const SELECTING: ReadonlySet<string> = new Set(["name", "subjects", "when", "rewrite", "limit"]);

/** What a rule lets out of an event, to be compared. */
function treatmentOf(rule: Rule): string {
  return canonical(Object.fromEntries(Object.entries(rule).filter(([field]) => !SELECTING.has(field))));
}

interface Sent extends Renamed {
  readonly rule: Rule;
  readonly index: number;
}

/** Each pattern that lets events out, with what they are called then. What an earlier rule takes whole is left out. */
function sentBy(policy: ExportPolicy): Sent[] {
  const taken: string[] = [];
  return policy.rules.flatMap((rule, index) => {
    const sent = outputsOf(rule)
      .filter(({ input }) => !taken.some((earlier) => includes(earlier, input)))
      .map((renamed) => ({ ...renamed, rule, index }));
    if (rule.when === undefined) taken.push(...rule.subjects);
    return sent;
  });
}

/** Patterns that the rules of a policy may rewrite: a view keeps them in its metadata, which has a bound. */
const MOST_REWRITTEN = 128;

/**
 * Rewrites that give an event the subject of events that another rule sends as they are called, but treats otherwise: behind one
 * name, what is redacted could not be told from what is not. Paths begin with `at`.
 */
export function rewriteConflicts(policy: ExportPolicy, at: string): Problem[] {
  const count = policy.rules.reduce(
    (sum, one) => sum + (one.rewrite === undefined ? 0 : one.subjects.length),
    0,
  );
  if (count > MOST_REWRITTEN) {
    const message = `The rules rewrite ${count} subjects in all, expected at most ${MOST_REWRITTEN}`;
    return [{ path: `${at}.rules`, message }];
  }
  const sent = sentBy(policy);
  const plain = sent.filter(({ rule }) => rule.rewrite === undefined);
  const problems = new Map<string, Problem>();
  for (const { rule, index, output } of sent) {
    if (rule.rewrite === undefined) continue;
    const treatment = treatmentOf(rule);
    for (const other of plain) {
      const shared = intersect(output, other.output);
      if (shared === null || treatmentOf(other.rule) === treatment) continue;
      const labels = `${describeRule(rule, index)} and ${describeRule(other.rule, other.index)}`;
      problems.set(`${index} ${other.index}`, {
        path: `${at}.rules[${index}].rewrite`,
        message: `Rewrite '${rule.rewrite}' lands on '${shared}', which ${describeRule(other.rule, other.index)} sends under its own name and treats otherwise: a peer could not tell the events of ${labels} apart`,
      });
    }
  }
  return [...problems.values()];
}

/** Most of what is compared for notes. */
const MAX_PAIRS = 10_000;

/**
 * Where different subjects leave under one name. That may be wanted, so it is no problem: a note for whoever plans the policy.
 * Events of one name keep the order in which they were published. Paths are within the policy.
 */
export function rewriteNotes(policy: ExportPolicy): Problem[] {
  const sent = sentBy(policy);
  const notes = new Map<string, Problem>();
  const note = (index: number, message: string) =>
    notes.set(message, { path: `rules[${index}].rewrite`, message });
  for (const { rule, index, input, output } of sent) {
    if (rule.rewrite === undefined || !dropsWildcard(rule.rewrite, input)) continue;
    note(
      index,
      `${describeRule(rule, index)}: different subjects of '${input}' leave as the same of '${output}'`,
    );
  }
  let pairs = 0;
  for (const [i, left] of sent.entries()) {
    for (const right of sent.slice(i + 1)) {
      if (left.rule.rewrite === undefined && right.rule.rewrite === undefined) continue;
      if (++pairs > MAX_PAIRS) return [...notes.values()];
      const shared = intersect(left.output, right.output);
      if (shared === null || left.input === right.input) continue;
      const by = right.rule.rewrite === undefined ? left : right;
      note(
        by.index,
        `${describeRule(by.rule, by.index)}: events of '${left.input}' and of '${right.input}' leave under one name ('${shared}')`,
      );
    }
  }
  return [...notes.values()];
}

/** Whether a rewrite leaves out a wildcard of the pattern, so that several subjects become one. */
function dropsWildcard(rewrite: string, pattern: string): boolean {
  const parsed = parseRewrite(rewrite);
  if (parsed.type === "invalid") return false;
  const { tokens, rest } = parsed.template;
  const used = new Set(tokens.map((token) => (token.type === "wildcard" ? token.index : -1)));
  const given = pattern.split(".");
  const wildcards = given.filter((token) => token === "*").length;
  for (let i = 0; i < wildcards; i++) if (!used.has(i)) return true;
  return given.at(-1) === ">" && !rest;
}
