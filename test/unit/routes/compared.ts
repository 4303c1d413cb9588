/** Reports of a candidate, as a control would give them. */
import type { DiffReport, ShadowReport, ShownComparison } from "../../../src/control/compare_api.ts";
import type { Rule } from "../../../src/model/schema/policy.ts";

const versions = {
  activeVersion: "aaaaaaaaaaaa",
  candidateVersion: "cccccccccccc",
  activeKind: "view",
  candidateKind: "view",
} as const;
const place = (sequence: number) => ({ sequence, time: "2026-01-02T03:04:05.000Z" });

/** Of ten events one leaves no more, one leaves otherwise, one leaves newly. */
export function comparison(outputs: boolean): ShownComparison {
  const out = (text: string) => ({
    subject: "acme.orders.x",
    headers: { region: ["EU"] },
    data: new TextEncoder().encode(text),
    payloadBytes: text.length,
    redactions: 1,
  });
  const sample = (sequence: number) => ({
    ...place(sequence),
    subject: "acme.orders.x",
    activeReason: null,
    candidateReason: null,
    differs: [],
  });
  const forward = (rule: string) => ({ verdict: "forward", rule }) as const;
  const drop = { verdict: "drop", rule: null } as const;
  return {
    events: 10,
    changed: 3,
    verdicts: { "forward → drop": 1, "drop → forward": 1 },
    outputs: { events: 1, subject: 0, headers: 0, payload: 1 },
    before: { forward: 8, drop: 2, quarantine: 0 },
    after: { forward: 8, drop: 2, quarantine: 0 },
    reasonsBefore: { no_rule: 2 },
    reasonsAfter: { no_rule: 2 },
    rules: [
      {
        from: forward("eu"),
        to: forward("eu"),
        events: 7,
        changed: 1,
        samples: [
          {
            ...sample(7),
            differs: ["payload"],
            ...(outputs ? { active: out('{"a":1}'), candidate: out('{"a":"***"}') } : {}),
          },
        ],
      },
      {
        from: forward("eu"),
        to: drop,
        events: 1,
        changed: 1,
        samples: [
          {
            ...sample(8),
            candidateReason: "no_rule",
            ...(outputs ? { active: out("\u001b[2J"), candidate: null } : {}),
          },
        ],
      },
      {
        from: drop,
        to: forward("new"),
        events: 1,
        changed: 1,
        samples: [
          {
            ...sample(9),
            activeReason: "no_rule",
            ...(outputs ? { active: null, candidate: { ...out(""), data: Uint8Array.of(0xff) } } : {}),
          },
        ],
      },
      { from: drop, to: drop, events: 1, changed: 0, samples: [] },
    ],
    otherRules: 0,
    subjects: [
      { pattern: "acme.orders.*", total: 3, byKind: { "forward → drop": 1, "drop → forward": 1, output: 1 } },
    ],
    otherSubjects: 0,
  };
}

export function diffReport(tenant: string, name: string, samples: boolean): DiffReport {
  return {
    tenant,
    export: name,
    stream: "out_acme",
    ...versions,
    first: place(1),
    last: place(10),
    complete: true,
    notes: ["the stream begins at 1"],
    tookMs: 5,
    comparison: comparison(samples),
  };
}

export function shadowReport(
  tenant: string,
  name: string,
  rules: readonly Rule[],
  samples: boolean,
): ShadowReport {
  return {
    tenant,
    export: name,
    rules,
    state: "running",
    lastError: null,
    since: "2026-01-02T03:04:05.000Z",
    skipped: 4,
    first: place(1),
    last: place(10),
    compared: { ...versions, comparison: comparison(samples) },
  };
}
