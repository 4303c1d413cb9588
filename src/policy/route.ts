/**
 * How the events of an export policy reach its peers: natively, where a consumer's filters say exactly what the policy
 * allows, or through a view, where each event is decided.
 */
import type { ExportPolicy, Rule } from "../model/schema/policy.ts";
import { includes, intersect, overlappingPair, reduce, subtract } from "../model/subject.ts";
import { outputsOf } from "./rewrite.ts";

export type Route =
  | {
      readonly type: "native";
      /** Exactly the subjects that the policy allows, as disjoint patterns. Empty when it allows nothing. */
      readonly subjects: readonly string[];
    }
  | {
      readonly type: "view";
      /** At least the subjects that the policy allows, as disjoint patterns: what the view's worker reads. */
      readonly subjects: readonly string[];
      /** At least the subjects that events leave under, as disjoint patterns: what the view holds. */
      readonly outputs: readonly string[];
      /** One sentence for each reason why the server cannot do it alone. */
      readonly why: readonly string[];
    };

/** More filters than this are a view: the server tries every filter of a consumer on every event. */
const MAX_FILTERS = 64;

/** The rule as sentences name it: `rule #2 ('acme.debug.>')`, or `rule #2 "debug"`. Rules count from 1. */
export function describeRule(rule: Rule, index: number): string {
  const first = rule.subjects[0] ?? "";
  const more = rule.subjects.length > 1 ? ` and ${rule.subjects.length - 1} more` : "";
  return rule.name === undefined
    ? `rule #${index + 1} ('${first}'${more})`
    : `rule #${index + 1} "${rule.name}"`;
}

/** Compiles the route of a policy. First match wins; no match, no export. */
export function compileRoute(policy: ExportPolicy): Route {
  const why = [...looksInside(policy.rules)];
  const { messages, bytes } = policy.limit ?? {};
  if (messages !== undefined || bytes !== undefined) {
    why.push("the export has a limit for all its peers together (nats-server keeps only 'perPeer')");
  }
  if (why.length === 0) {
    const exact = exactSubjects(policy.rules);
    if (exact.type === "exact") return { type: "native", subjects: exact.subjects };
    why.push(...exact.why);
  }
  const renamed = policy.rules.flatMap(outputsOf);
  const subjects = widen(renamed.map((one) => one.input));
  const rewrites = policy.rules.some((rule) => rule.rewrite !== undefined);
  return {
    type: "view",
    subjects,
    outputs: rewrites ? widen(renamed.map((one) => one.output)) : subjects,
    why,
  };
}

/** The subjects that cross on a route: what peers may get. */
export function crossing(route: Route): readonly string[] {
  return route.type === "native" ? route.subjects : route.outputs;
}

/** The rules that need more of an event than its subject. */
function* looksInside(rules: readonly Rule[]): Generator<string> {
  for (const [index, rule] of rules.entries()) {
    const needs: string[] = [];
    if (rule.when !== undefined) needs.push("a condition ('when')");
    if (rule.schema !== undefined) needs.push(`a schema contract ('${rule.schema}')`);
    if (rule.redact !== undefined) needs.push("redactions");
    if (rule.headers !== undefined) needs.push("header changes");
    if (rule.envelope !== undefined) needs.push("an envelope");
    if (rule.rewrite !== undefined) needs.push("a subject rewrite");
    if (rule.limit !== undefined) needs.push("a limit");
    if (needs.length > 0) yield `${describeRule(rule, index)} has ${needs.join(" and ")}`;
  }
}

type Exact =
  | { readonly type: "exact"; readonly subjects: string[] }
  | { readonly type: "inexact"; readonly why: string[] };

interface Denied {
  readonly pattern: string;
  readonly label: string;
}

/** The allowed subjects: of every positive rule, what no rule before it denies. */
function exactSubjects(rules: readonly Rule[]): Exact {
  const why: string[] = [];
  const denied: Denied[] = [];
  const allowed: string[] = [];
  for (const [index, rule] of rules.entries()) {
    const label = describeRule(rule, index);
    if (rule.deny) {
      // What an earlier rule allows already is not denied here.
      for (const pattern of rule.subjects) {
        if (!allowed.some((one) => includes(one, pattern))) denied.push({ pattern, label });
      }
      continue;
    }
    for (const pattern of rule.subjects) {
      // Nothing new: the rest of it may be what no patterns say, but it is not needed.
      if (allowed.some((one) => includes(one, pattern))) continue;
      let left = [pattern];
      for (const cut of denied) {
        const rest = subtractAll(left, [cut.pattern]);
        if (rest === null) {
          why.push(`${cut.label} denies a part of ${label}, and no set of patterns says 'all but'`);
          break;
        }
        left = rest;
      }
      allowed.push(...left);
    }
  }
  if (why.length > 0) return { type: "inexact", why: [...new Set(why)] };
  return disjoint(allowed);
}

/** All of `from` that is in none of `cuts`; `null` when patterns cannot say it. */
function subtractAll(from: readonly string[], cuts: readonly string[]): string[] | null {
  let left = [...from];
  for (const cut of cuts) {
    const next: string[] = [];
    for (const pattern of left) {
      const rest = subtract(pattern, cut);
      if (rest === null || next.length > MAX_FILTERS) return null;
      next.push(...rest);
    }
    left = next;
  }
  return left;
}

/** The same set as patterns that do not overlap. */
function disjoint(patterns: readonly string[]): Exact {
  let set = reduce(patterns);
  for (;;) {
    if (set.length > MAX_FILTERS) {
      return {
        type: "inexact",
        why: [`it would need ${set.length} filters, and ${MAX_FILTERS} are the most`],
      };
    }
    const pair = overlappingPair(set);
    if (pair === null) return { type: "exact", subjects: set };
    const [left, right] = pair;
    const leftRest = subtract(left, right);
    const rightRest = leftRest === null ? subtract(right, left) : null;
    if (leftRest !== null) set = reduce([...set.filter((one) => one !== left), ...leftRest]);
    else if (rightRest !== null) set = reduce([...set.filter((one) => one !== right), ...rightRest]);
    else {
      const both = `'${left}' and '${right}' both hold '${intersect(left, right)}'`;
      return { type: "inexact", why: [`${both}, and the filters of a consumer may not overlap`] };
    }
  }
}

/** Disjoint patterns that hold all of `patterns`, and as little more as is simple to say. */
export function widen(patterns: readonly string[]): string[] {
  const exact = disjoint(patterns);
  if (exact.type === "exact") return exact.subjects;
  let set = reduce(patterns);
  for (;;) {
    const pair = overlappingPair(set) ?? (set.length > MAX_FILTERS ? nearest(set) : null);
    if (pair === null) return set;
    set = reduce([...set, commonPattern(...pair)]);
  }
}

/** Two patterns to join when there are too many: the neighbours in order of name. */
function nearest(set: readonly string[]): [string, string] | null {
  const sorted = set.toSorted();
  let best: [string, string] | null = null;
  let bestLength = -1;
  for (let i = 1; i < sorted.length; i++) {
    const pair: [string, string] = [sorted[i - 1] ?? "", sorted[i] ?? ""];
    const { length } = commonPattern(...pair);
    if (length > bestLength) [best, bestLength] = [pair, length];
  }
  return best;
}

/** `a.b.>` for `a.b.*.c` and `a.b.d.>`: their common first tokens and all that follows. Both have more tokens than those. */
function commonPattern(left: string, right: string): string {
  const a = left.split(".");
  const b = right.split(".");
  let i = 0;
  const last = Math.min(a.length, b.length) - 1;
  while (i < last && a[i] === b[i] && a[i] !== ">") i++;
  return [...a.slice(0, i), ">"].join(".");
}
