/** What is wrong with the envelope of a rule: header rules that would take apart what the envelope has put together. */
import type { Problem } from "../../model/errors.ts";
import type { Rule } from "../../model/schema/policy.ts";
import { covers, meets } from "../headers_check.ts";
import { PREFIX } from "./attributes.ts";
import { envelopeOptions } from "./mod.ts";

const BINARY = ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-tenant", "ce-origin"];
const STRUCTURED = ["content-type"];
/** All headers of attributes. */
const ATTRIBUTES = `${PREFIX}*`;

/** What is wrong with a rule that has an envelope; paths begin with `at`. */
export function envelopeProblems(rule: Rule, at: string): Problem[] {
  if (rule.envelope === undefined) return [];
  const { out, type, source } = envelopeOptions(rule.envelope);
  const problems: Problem[] = [];
  if (rule.deny && (out !== "same" || type !== null || source !== null)) {
    problems.push({
      path: `${at}.envelope`,
      message: "A rule that denies has an envelope to read alone ('in'): nothing of the event leaves",
    });
  }
  if (out === "same" && !rule.deny) {
    for (const [name, value] of [["type", type] as const, ["source", source] as const]) {
      if (value === null) continue;
      problems.push({
        path: `${at}.envelope.${name}`,
        message: `A ${name} is given to plain events that leave as CloudEvents: say with 'out' whether as binary or structured`,
      });
    }
  }
  problems.push(...attributeConflicts(rule, `${at}.headers`));
  const needed = out === "binary" ? BINARY : out === "structured" ? STRUCTURED : [];
  for (const name of needed) problems.push(...headerConflicts(rule, name, `${at}.headers`));
  return problems;
}

/**
 * Header rules that would hide attributes. They come after the envelope, so of an event that leaves as a structured one they take
 * nothing: what looks hidden would leave inside of the payload.
 */
function attributeConflicts({ envelope, headers = {} }: Rule, at: string): Problem[] {
  if (envelope === undefined) return [];
  const { in: expected, out } = envelopeOptions(envelope);
  const structured =
    out === "structured" || (out === "same" && (expected === "auto" || expected === "structured"));
  if (!structured) return [];
  const problems: Problem[] = [];
  const report = (path: string, pattern: string) =>
    problems.push({
      path: `${at}.${path}`,
      message: `'${pattern}' takes attributes of CloudEvents ('${PREFIX}…') as headers, and events may leave structured, with attributes in the payload: let them leave as binary ('out')`,
    });
  for (const field of ["drop", "mask"] as const) {
    for (const [index, pattern] of (headers[field] ?? []).entries()) {
      if (meets(pattern, ATTRIBUTES)) report(`${field}[${index}]`, pattern);
    }
  }
  for (const [from, to] of Object.entries(headers.rename ?? {})) {
    const name = [from, to].find((one) => meets(one, ATTRIBUTES));
    if (name !== undefined) report(`rename.${from}`, name);
  }
  for (const name of Object.keys(headers.set ?? {})) if (meets(name, ATTRIBUTES)) report(`set.${name}`, name);
  const keep = headers.keep ?? [];
  if (!keep.some((pattern) => covers(pattern, ATTRIBUTES))) {
    for (const [index, pattern] of keep.entries()) {
      if (meets(pattern, ATTRIBUTES)) report(`keep[${index}]`, pattern);
    }
  }
  return problems;
}

function headerConflicts({ headers = {} }: Rule, name: string, at: string): Problem[] {
  const why = `which the envelope needs`;
  const problems: Problem[] = [];
  for (const field of ["drop", "mask"] as const) {
    for (const [index, pattern] of (headers[field] ?? []).entries()) {
      if (!covers(pattern, name)) continue;
      problems.push({
        path: `${at}.${field}[${index}]`,
        message: `'${pattern}' takes header '${name}', ${why}`,
      });
    }
  }
  if (headers.keep !== undefined && !headers.keep.some((pattern) => covers(pattern, name))) {
    problems.push({ path: `${at}.keep`, message: `'keep' leaves out header '${name}', ${why}` });
  }
  for (const [from, to] of Object.entries(headers.rename ?? {})) {
    if (!covers(from, name) && !covers(to, name)) continue;
    problems.push({
      path: `${at}.rename.${from}`,
      message: `Header '${from}' is renamed to '${to}': one of them is '${name}', ${why}`,
    });
  }
  for (const set of Object.keys(headers.set ?? {})) {
    if (covers(set, name))
      problems.push({ path: `${at}.set.${set}`, message: `Header '${set}' is set, ${why}` });
  }
  return problems;
}
