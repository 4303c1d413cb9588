/** A comparison of two policies as text. */
import type { ComparisonDocument, OutputDocument } from "../../routes/answers.ts";
import { count, indent, table } from "./table.ts";

type RuleChange = ComparisonDocument["rules"][number];
type Sample = RuleChange["samples"][number];

/** Sums, then rules and subjects that change, then samples. */
export function comparisonText(comparison: ComparisonDocument): string {
  const { events, changed, before, after, rules, subjects, otherRules, otherSubjects } = comparison;
  const sums = table(
    ["", "FORWARD", "DROP", "QUARANTINE"],
    [
      ["active", ...numbers(before)],
      ["candidate", ...numbers(after)],
    ],
  );
  if (changed === 0) return `${sums}\nNothing would change: ${count(events, "event")}.`;
  const changing = rules.filter((rule) => rule.changed > 0);
  const lines = [
    sums,
    `${changed} of ${count(events, "event")} would change: ${kindsOf(comparison).join(", ")}`,
    "",
    table(
      ["NOW", "THEN", "EVENTS", "CHANGED"],
      changing.map((rule) => [
        sideText(rule.from),
        sideText(rule.to),
        String(rule.events),
        String(rule.changed),
      ]),
    ),
    ...(otherRules === 0 ? [] : [`and ${count(otherRules, "event")} of rules that are not listed`]),
    "",
    table(
      ["SUBJECT", "CHANGED", "HOW"],
      subjects.map(({ pattern, total, byKind }) => [
        pattern,
        String(total),
        Object.entries(byKind)
          .map(([kind, amount]) => `${kind}: ${amount}`)
          .join(", "),
      ]),
    ),
    ...(otherSubjects === 0 ? [] : [`and ${count(otherSubjects, "event")} of subjects that are not listed`]),
    "",
    ...changing.flatMap((rule) => rule.samples.map((sample) => sampleText(rule, sample))),
  ];
  return lines.join("\n").trimEnd();
}

function numbers(counts: ComparisonDocument["before"]): string[] {
  return [counts.forward, counts.drop, counts.quarantine].map(String);
}

function kindsOf({ verdicts, outputs }: ComparisonDocument): string[] {
  const kinds = Object.entries(verdicts).map(([kind, amount]) => `${kind}: ${amount}`);
  if (outputs.events === 0) return kinds;
  const parts = (["payload", "headers", "subject"] as const).flatMap((part) =>
    outputs[part] === 0 ? [] : [`${part} ${outputs[part]}`],
  );
  return [...kinds, `forward both ways, not the same: ${outputs.events} (${parts.join(", ")})`];
}

function sideText({ verdict, rule }: RuleChange["from"]): string {
  return rule === null ? `${verdict} (no rule)` : `${verdict} by ${rule}`;
}

function sampleText(rule: RuleChange, sample: Sample): string {
  const { sequence, time, subject, differs, activeReason, candidateReason } = sample;
  const how = differs.length === 0 ? "" : ` (${differs.join(", ")} not the same)`;
  const reason = (text: string | null) => (text === null ? "" : `: ${text}`);
  return [
    `event ${sequence} ${time} ${subject}${how}`,
    indent(`now   ${sideText(rule.from)}${reason(activeReason)}`),
    ...outputText(sample.active),
    indent(`then  ${sideText(rule.to)}${reason(candidateReason)}`),
    ...outputText(sample.candidate),
  ].join("\n");
}

function outputText(output: OutputDocument | null | undefined): string[] {
  if (output === null || output === undefined) return [];
  const headers = Object.entries(output.headers).flatMap(([name, values]) =>
    values.map((value) => `${name}: ${value}`),
  );
  const payload = output.dataText ?? `base64 ${output.dataBase64 ?? ""}`;
  const size = `${output.subject}, ${count(output.payloadBytes, "byte")}, ${count(output.redactions, "value")} redacted`;
  return [size, ...headers, ...(payload === "" ? [] : [payload])].map((line) => indent(line, 8));
}
