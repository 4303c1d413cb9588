/** What the policy says of one event. Any doubt is a quarantine, never a pass. */
import type { Decision, MeshEvent, QuarantineReason } from "../model/event.ts";
import type { CompiledPolicy, CompiledRule } from "./compile.ts";
import type { Envelope, Opened } from "./envelope/mod.ts";
import { forwardHeaders } from "./headers.ts";
import { payloadObstacle } from "./payload.ts";

const NO_RULE: Decision = { type: "drop", rule: null, reason: "no_rule" };

/** What one rule says of an event whose subject it matches; `null` when its condition is false. */
export type RuleVerdict = Decision | null;

/**
 * Decides one event: the first rule whose subjects and condition match is the one that counts, and where none does, nothing
 * leaves. Never throws.
 */
export function decide(policy: CompiledPolicy, event: MeshEvent): Decision {
  const { rules, payloads } = policy;
  payloads.begin();
  try {
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i] as CompiledRule;
      if (!matchesSubject(rule, event.subject)) continue;
      const verdict = applyRule(policy, rule, event);
      if (verdict !== null) return verdict;
    }
    return NO_RULE;
  } finally {
    payloads.end();
  }
}

/** Whether one of the rule's patterns holds the subject. */
export function matchesSubject(rule: CompiledRule, subject: string): boolean {
  const subjects = rule.subjects;
  for (let i = 0; i < subjects.length; i++) if (subjects[i]?.matches(subject)) return true;
  return false;
}

/**
 * Applies a rule whose subjects match: size, envelope, condition, schema, subject, redactions, envelope again, headers. Never
 * throws.
 */
export function applyRule(policy: CompiledPolicy, rule: CompiledRule, event: MeshEvent): RuleVerdict {
  // What a step would be blamed for if it threw.
  let step: QuarantineReason = "header_invalid";
  try {
    if (event.data.length > rule.maxSize) {
      const error = `Payload of ${event.data.length} bytes is larger than the rule takes (${rule.maxSize})`;
      return quarantine(rule, "payload_too_large", error);
    }
    // What the steps look into: the event itself, or what its envelope holds.
    let inner = event;
    let opened: Opened | null = null;
    if (rule.envelope !== null) {
      step = "envelope_invalid";
      const result = rule.envelope.open(event, rule.readsPayload);
      if (result.type === "failed") return quarantine(rule, result.reason, result.error);
      opened = result;
      inner = result.event;
    }
    step = "header_invalid";
    if (rule.readsPayload) {
      const obstacle = payloadObstacle(event.headers, inner.data, policy.cursor);
      if (obstacle !== null) return quarantine(rule, obstacle.reason, obstacle.error);
    }
    if (rule.when !== null) {
      step = "predicate_failed";
      const result = rule.when.evaluate(inner);
      if (result.type === "failed") return quarantine(rule, result.reason, result.error);
      if (!result.value) return null;
    }
    if (rule.deny) return { type: "drop", rule: rule.ref, reason: "denied" };

    if (rule.contract !== null) {
      step = "schema_invalid";
      const failure = rule.contract.failure(inner.data);
      if (failure !== null) return quarantine(rule, failure.reason, failure.error);
    }

    step = "subject_invalid";
    const subject = rule.rewriter === null ? event.subject : rule.rewriter.apply(event.subject);
    if (subject === null) return quarantine(rule, "subject_invalid", "Rewritten subject is too long");

    let data = inner.data;
    let redactions = 0;
    if (rule.redactor !== null) {
      step = "redaction_failed";
      const redacted = rule.redactor.apply(data);
      if (redacted.type === "failed") return quarantine(rule, redacted.reason, redacted.error);
      data = redacted.data;
      redactions = redacted.count;
    }

    let given = event.headers;
    if (opened !== null) {
      step = "envelope_invalid";
      const sealed = (rule.envelope as Envelope).seal(opened, event, data, subject);
      if (sealed.type === "failed") return quarantine(rule, sealed.reason, sealed.error);
      given = sealed.headers;
      data = sealed.data;
    }
    step = "header_invalid";
    const headers = forwardHeaders(given, rule.headers, policy.cursor);
    if (headers === null) return quarantine(rule, "header_invalid", "Header block is malformed");
    return { type: "forward", rule: rule.ref, subject, headers, data, redactions };
  } catch (thrown) {
    // Its message might repeat a part of the event.
    return quarantine(rule, step, `Unexpected ${thrown instanceof Error ? thrown.name : "failure"}`);
  }
}

function quarantine(rule: CompiledRule, reason: QuarantineReason, error: string): Decision {
  return { type: "quarantine", rule: rule.ref, reason, error };
}
