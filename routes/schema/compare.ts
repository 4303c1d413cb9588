/** What is asked and said of a candidate policy: a diff over stored events, and shadow mode. */
import { z } from "@hono/zod-openapi";
import type * as report from "../../src/control/compare_api.ts";
import { CandidateRules, Rule } from "../../src/model/schema/policy.ts";
import { duration } from "../../src/model/schema/scalars.ts";

/** A diff answers within this. */
const MOST_DEADLINE_MS = 150_000;

export const DiffBody = CandidateRules.safeExtend({
  last: z.int().min(1).max(1_000_000).optional().meta({
    description: "The last so many events of the tenant; default 10000, unless `since` is given",
  }),
  since: duration({ minMs: 1000 })
    .optional()
    .meta({ description: "Events stored within this time", example: "24h" }),
  samples: z.boolean().optional().meta({
    description:
      "Show what leaves of samples under each policy; default false: nothing of a payload or header",
  }),
  deadline: duration({ minMs: 100, maxMs: MOST_DEADLINE_MS })
    .optional()
    .meta({ description: "Answer with what was looked at by then; default 60s" }),
})
  .superRefine((body, context) => {
    if (body.last === undefined || body.since === undefined) return;
    context.addIssue({ code: "custom", path: ["since"], message: "give only one of last, since" });
  })
  .meta({ id: "DiffRequest", description: "Rules to hold against those in force. Nothing is changed." });
export type DiffBody = z.infer<typeof DiffBody>;

/** An output as JSON has it: the payload as text where it is UTF-8. */
export interface OutputDocument extends Omit<report.ShownOutput, "data"> {
  readonly dataText?: string | undefined;
  readonly dataBase64?: string | undefined;
}
type WithOutputs<S> = Omit<S, "active" | "candidate"> & {
  readonly active?: OutputDocument | null | undefined;
  readonly candidate?: OutputDocument | null | undefined;
};
type SampleDocument = WithOutputs<report.ShownSample>;
type RuleDocument = Omit<report.ShownComparison["rules"][number], "samples"> & {
  readonly samples: readonly SampleDocument[];
};
export interface ComparisonDocument extends Omit<report.ShownComparison, "rules"> {
  readonly rules: readonly RuleDocument[];
}
export interface DiffDocument extends Omit<report.DiffReport, "comparison"> {
  readonly comparison: ComparisonDocument;
}
export interface ShadowDocument extends Omit<report.ShadowReport, "compared"> {
  readonly compared: (report.Versions & { readonly comparison: ComparisonDocument }) | null;
}

const OutputSchema = z
  .object({
    subject: z.string(),
    headers: z.record(z.string(), z.array(z.string())),
    dataText: z
      .string()
      .optional()
      .meta({ description: "The first 2 KiB of the payload, where it is UTF-8" }),
    dataBase64: z.string().optional().meta({ description: "The same in base64, where it is not" }),
    payloadBytes: z.int().meta({ description: "Length of the whole payload" }),
    redactions: z.int(),
  })
  .meta({ id: "ComparedOutput", description: "What leaves of an event under one of the two policies" });

const output = OutputSchema.nullable().optional();

const SampleSchema = z
  .object({
    sequence: z.int(),
    time: z.string(),
    subject: z.string(),
    activeReason: z.string().nullable().meta({ description: "Why it does not leave; null where it does" }),
    candidateReason: z.string().nullable(),
    differs: z.array(z.enum(["subject", "headers", "payload"])).meta({
      description: "Of an event that leaves both ways: what is not the same",
    }),
    active: output,
    candidate: output,
  })
  .meta({ id: "ComparedSample", description: "An event that the two policies treat differently" });

const Said = z
  .object({ verdict: z.enum(["forward", "drop", "quarantine"]), rule: z.string().nullable() })
  .meta({ id: "ComparedVerdict" });
const Counts = z
  .object({ forward: z.int(), drop: z.int(), quarantine: z.int() })
  .meta({ id: "VerdictCounts" });
const Reasons = z.record(z.string(), z.int());

const ComparisonSchema: z.ZodType<ComparisonDocument> = z
  .object({
    events: z.int(),
    changed: z.int().meta({ description: "Events for which the candidate makes a difference" }),
    verdicts: z.record(z.string(), z.int()).meta({ example: { "forward → drop": 12 } }),
    outputs: z
      .object({ events: z.int(), subject: z.int(), headers: z.int(), payload: z.int() })
      .meta({ description: "Events that leave both ways, but not the same" }),
    before: Counts,
    after: Counts,
    reasonsBefore: Reasons,
    reasonsAfter: Reasons,
    rules: z.array(
      z
        .object({
          from: Said,
          to: Said,
          events: z.int(),
          changed: z.int(),
          samples: z.array(SampleSchema),
        })
        .meta({ id: "RuleChange" }),
    ),
    otherRules: z.int(),
    subjects: z.array(
      z
        .object({ pattern: z.string(), total: z.int(), byKind: z.record(z.string(), z.int()) })
        .meta({ id: "SubjectChange" }),
    ),
    otherSubjects: z.int(),
  })
  .meta({ id: "Comparison" });

const kind = z.enum(["native", "view"]);
const versions = {
  activeVersion: z.string(),
  candidateVersion: z.string(),
  activeKind: kind,
  candidateKind: kind,
};
const Place = z.object({ sequence: z.int(), time: z.string() }).meta({ id: "StreamPlace" });

export const DiffResponse: z.ZodType<DiffDocument> = z
  .object({
    tenant: z.string(),
    export: z.string(),
    stream: z.string(),
    ...versions,
    first: Place.nullable(),
    last: Place.nullable(),
    complete: z.boolean().meta({ description: "All that was asked for and is still stored was looked at" }),
    notes: z
      .array(z.string())
      .meta({ description: "What is gone from the range, and what was not looked at" }),
    tookMs: z.int(),
    comparison: ComparisonSchema,
  })
  .meta({ id: "PolicyDiff" });

export const ShadowResponse: z.ZodType<ShadowDocument> = z
  .object({
    tenant: z.string(),
    export: z.string(),
    rules: z.array(Rule),
    state: z.enum(["running", "waiting"]),
    lastError: z.string().nullable(),
    since: z.string().nullable().meta({ description: "Events are counted from then on" }),
    skipped: z
      .int()
      .meta({ description: "Events that were passed over: looking at them would cost too much" }),
    first: Place.nullable(),
    last: Place.nullable(),
    compared: z.object({ ...versions, comparison: ComparisonSchema }).nullable(),
  })
  .meta({ id: "Shadow" });
