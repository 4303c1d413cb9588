/** A comparison as the API shows it: outputs only where they were asked for. */
import type { Comparison, Contender, Output, Sample } from "../policy/compare.ts";
import { headerRecord } from "../policy/header_text.ts";
import type { Place, ShownComparison, ShownOutput, ShownSample, Versions } from "./compare_api.ts";

/** @param outputs show what leaves of samples, by each of the two */
export function showComparison(comparison: Comparison, outputs: boolean): ShownComparison {
  const { rules, subjects, ...rest } = comparison.report();
  return {
    ...rest,
    rules: rules.map(({ samples, ...rule }) => ({
      ...rule,
      samples: samples.map((sample) => showSample(sample, outputs)),
    })),
    subjects: subjects.map((one) => ({ ...one, byKind: Object.fromEntries(one.byKind) })),
  };
}

/** Versions and kinds of the two. */
export function versionsOf(active: Contender, candidate: Contender): Versions {
  return {
    activeVersion: active.policy.version,
    candidateVersion: candidate.policy.version,
    activeKind: active.route,
    candidateKind: candidate.route,
  };
}

/** Where an event stands in its stream. */
export function placeOf({ sequence, timeMs }: { readonly sequence: number; readonly timeMs: number }): Place {
  return { sequence, time: new Date(timeMs).toISOString() };
}

function showSample(sample: Sample, outputs: boolean): ShownSample {
  const { timeMs, active, candidate, ...rest } = sample;
  return {
    ...rest,
    time: new Date(timeMs).toISOString(),
    ...(outputs ? { active: showOutput(active), candidate: showOutput(candidate) } : {}),
  };
}

function showOutput(output: Output | null): ShownOutput | null {
  if (output === null) return null;
  const { subject, headers, data, payloadBytes, redactions } = output;
  return { subject, headers: headerRecord(headers), data, payloadBytes, redactions };
}
