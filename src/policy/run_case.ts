/** Runs one case of a test file: what the policy says of its event, held against what was expected. */
import { Buffer } from "node:buffer";
import { unreachable } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import type { CompiledPolicy } from "./compile.ts";
import { asRouted, type ExplainStep, explainPolicy } from "./explain.ts";
import { headerRecord } from "./header_text.ts";
import { jsonDifferences } from "./json_diff.ts";

/** The payload that is expected: a JSON value, or these very bytes. */
export type ExpectedPayload =
  | { readonly type: "json"; readonly value: unknown }
  | { readonly type: "bytes"; readonly data: Uint8Array };

/** What must become of an event; what is left out is not looked at. */
export interface Expectation {
  readonly outcome: Decision["type"];
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
  readonly subject?: string | undefined;
  readonly payload?: ExpectedPayload | undefined;
  readonly present?: Readonly<Record<string, string | readonly string[]>> | undefined;
  readonly absent?: readonly string[] | undefined;
  /** Texts that nothing that leaves may hold. */
  readonly not?: readonly string[] | undefined;
}

/** One expectation that was not met. */
export interface CaseFault {
  /** Where in the expectation it stands. */
  readonly at: readonly PropertyKey[];
  readonly message: string;
}

export interface CaseResult {
  readonly decision: Decision;
  readonly steps: readonly ExplainStep[];
  /** Empty: all is as expected. */
  readonly faults: readonly CaseFault[];
}

/**
 * Runs a case.
 * @param route how the policy runs: on a native route the server passes events on as they are
 */
export function runCase(
  policy: CompiledPolicy,
  route: "native" | "view",
  event: MeshEvent,
  expected: Expectation,
): CaseResult {
  const explained = explainPolicy(policy, event);
  const decision = asRouted(explained.decision, event, route);
  return { decision, steps: explained.steps, faults: [...faultsOf(decision, expected)] };
}

function* faultsOf(decision: Decision, expected: Expectation): Generator<CaseFault> {
  if (decision.type !== expected.outcome) {
    yield { at: ["outcome"], message: `expected ${expected.outcome}, got ${described(decision)}` };
  }
  const rule = decision.rule?.name ?? null;
  const byPlace = decision.rule === null ? null : `#${decision.rule.index + 1}`;
  if (expected.rule !== undefined && expected.rule !== rule && expected.rule !== byPlace) {
    yield { at: ["rule"], message: `expected rule ${expected.rule}, got ${rule ?? "none: no rule matches"}` };
  }
  if (decision.type !== "forward") {
    if (
      expected.reason !== undefined &&
      expected.reason !== decision.reason &&
      decision.type === expected.outcome
    ) {
      yield { at: ["reason"], message: `expected ${expected.reason}, got ${described(decision)}` };
    }
    return;
  }
  const { subject } = decision;
  if (expected.subject !== undefined && expected.subject !== subject) {
    yield { at: ["subject"], message: `expected ${expected.subject}, got ${subject}` };
  }
  if (expected.payload !== undefined) yield* payloadFaults(expected.payload, decision.data);
  yield* headerFaults(expected, headerRecord(decision.headers));
  yield* leaks(expected.not ?? [], decision);
}

function described(decision: Decision): string {
  switch (decision.type) {
    case "forward":
      return `forward by rule ${decision.rule.name}`;
    case "drop":
      return decision.rule === null
        ? `drop: ${decision.reason}`
        : `drop by rule ${decision.rule.name}: ${decision.reason}`;
    case "quarantine":
      return `quarantine by rule ${decision.rule.name}: ${decision.reason}: ${decision.error}`;
    default:
      return unreachable(decision);
  }
}

function* payloadFaults(expected: ExpectedPayload, got: Uint8Array): Generator<CaseFault> {
  if (expected.type === "bytes") {
    if (Buffer.compare(expected.data, got) === 0) return;
    const at = firstDifference(expected.data, got);
    const message = `differs from byte ${at} on\n- expected ${shown(expected.data, at)}\n+ got      ${shown(got, at)}`;
    yield { at: ["payload"], message };
    return;
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(got));
  } catch {
    yield { at: ["payload"], message: `expected JSON, got ${shown(got, 0)}` };
    return;
  }
  const differences = jsonDifferences(expected.value, value);
  if (differences.length === 0) return;
  const lines = differences.flatMap((one) => [
    ...(one.expected === null ? [] : [`- ${one.path} ${cut(one.expected)}`]),
    ...(one.got === null ? [] : [`+ ${one.path} ${cut(one.got)}`]),
  ]);
  yield { at: ["payload"], message: `differs (- expected, + got)\n${lines.join("\n")}` };
}

function* headerFaults(
  { present, absent }: Expectation,
  got: Readonly<Record<string, readonly string[]>>,
): Generator<CaseFault> {
  for (const [name, value] of Object.entries(present ?? {})) {
    const wanted = typeof value === "string" ? [value] : value;
    const found = Object.hasOwn(got, name) ? got[name] : undefined;
    const at = ["headers", "present", name];
    if (found === undefined) {
      const there = Object.keys(got);
      yield {
        at,
        message: `is missing; there ${there.length === 0 ? "are none" : `are ${there.join(", ")}`}`,
      };
    } else if (found.length !== wanted.length || found.some((one, i) => one !== wanted[i])) {
      yield { at, message: `expected ${wanted.map(quote).join(", ")}, got ${found.map(quote).join(", ")}` };
    }
  }
  for (const [index, name] of (absent ?? []).entries()) {
    const found = Object.keys(got).find((one) => one.toLowerCase() === name.toLowerCase());
    if (found === undefined) continue;
    yield {
      at: ["headers", "absent", index],
      message: `${found} is there: ${(got[found] ?? []).map(quote).join(", ")}`,
    };
  }
}

/** Looks into what leaves as bytes, and as a reader of JSON sees it. */
function* leaks(
  texts: readonly string[],
  decision: Extract<Decision, { type: "forward" }>,
): Generator<CaseFault> {
  if (texts.length === 0) return;
  const data = Buffer.from(decision.data).toString();
  const headers = Buffer.from(decision.headers).toString();
  const places = [
    ["the payload", [data, ...stringsOf(data)]],
    ["a header", [headers, unescaped(headers)]],
    ["the subject", [decision.subject]],
  ] as const;
  for (const [index, text] of texts.entries()) {
    const place = places.find(([, found]) => found.some((one) => one.includes(text)));
    if (place !== undefined) yield { at: ["not", index], message: `${quote(text)} stands in ${place[0]}` };
  }
}

/** Text of headers with the escapes that attributes of CloudEvents have (`%20`). */
function unescaped(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (escapes) =>
    Buffer.from(escapes.replaceAll("%", ""), "hex").toString(),
  );
}

/** Every string of a JSON text, names of members too, unescaped; none when it is no JSON. */
function stringsOf(json: string): string[] {
  return [...json.matchAll(/"(?:[^"\\]|\\.)*"/g)].flatMap(([literal]) => {
    try {
      return [String(JSON.parse(literal))];
    } catch {
      return [];
    }
  });
}

function firstDifference(left: Uint8Array, right: Uint8Array): number {
  let at = 0;
  while (at < left.length && at < right.length && left[at] === right[at]) at++;
  return at;
}

const SHOWN = 160;

/** The bytes around a place, as text where they are UTF-8. */
function shown(data: Uint8Array, at: number): string {
  if (data.length === 0) return "nothing (0 bytes)";
  const from = Math.max(0, at - SHOWN / 2);
  const part = data.subarray(from, from + SHOWN);
  const text = new TextDecoder().decode(part);
  const body = text.includes("\ufffd") ? `base64 ${Buffer.from(part).toString("base64")}` : text;
  return `${from > 0 ? "…" : ""}${body}${from + SHOWN < data.length ? "…" : ""}`;
}

const cut = (text: string): string => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
const quote = (text: string): string => `'${cut(text)}'`;
