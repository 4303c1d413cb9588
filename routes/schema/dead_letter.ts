/** Dead letters and redrives: what selects them, what is said of them. The types are those of src/control/dead_letter_api.ts and src/model/redrive.ts. */
import { z } from "@hono/zod-openapi";
import type * as report from "../../src/control/dead_letter_api.ts";
import type * as redrive from "../../src/model/redrive.ts";
import { Name, Pattern } from "../../src/model/schema/scalars.ts";
import { parseDurationMs } from "../../src/model/units.ts";

/** A moment: RFC 3339, or how long ago. The parsed value is milliseconds since 1970. */
const Since = z
  .string()
  .refine((text) => momentOf(text) !== null, {
    error: ({ input }) =>
      `'${String(input)}' is no time (expected RFC 3339, or for example 15m for 15 minutes ago)`,
  })
  .meta({ example: "15m", description: "Put aside then or later: RFC 3339, or a duration before now" });

function momentOf(text: string): number | null {
  const agoMs = parseDurationMs(text);
  if (agoMs !== null) return Date.now() - agoMs;
  if (!/^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text)) return null;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? null : moment;
}

/** What a letter must be to be selected, as query parameters and as fields of a body. */
export const FilterFields = {
  reason: z
    .string()
    .regex(/^[a-z_]{1,64}$/, {
      error: ({ input }) => `'${String(input)}' is no reason (expected for example payload_not_json)`,
    })
    .optional()
    .meta({ example: "payload_not_json" }),
  rule: z.string().min(1).max(64).optional().meta({ description: "Name of the rule, or #1 for the first" }),
  policy: Name.optional().meta({ description: "Name of the export", example: "eu-orders" }),
  subject: Pattern.optional().meta({ description: "Pattern of the events' subjects" }),
  since: Since.optional(),
};

interface GivenFilter {
  readonly reason?: string | undefined;
  readonly rule?: string | undefined;
  readonly policy?: string | undefined;
  readonly subject?: string | undefined;
  readonly since?: string | undefined;
}

/** The filter that a request asks for. */
export function filterOf({ reason, rule, policy, subject, since }: GivenFilter): report.DeadLetterFilter {
  const sinceMs = since === undefined ? null : momentOf(since);
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(rule === undefined ? {} : { rule }),
    ...(policy === undefined ? {} : { policy }),
    ...(subject === undefined ? {} : { subject }),
    ...(sinceMs === null ? {} : { sinceMs }),
  };
}

const all = z.literal(true).optional().meta({ description: "All of the tenant's: instead of a filter" });
const dryRun = z.boolean().optional().meta({ description: "Change nothing, only say what would happen" });

/** All must be asked for by name: a forgotten filter must not mean everything. */
function wantSelection(
  { dryRun: _dryRun, rate: _rate, ...chosen }: Readonly<Record<string, unknown>>,
  context: z.RefinementCtx,
): void {
  const given = Object.keys(chosen);
  const alone = given.find((field) => field === "all" || field === "sequence");
  if (given.length === 0) {
    const message = "select what is meant: by sequence, reason, rule, policy, subject or since; or all: true";
    context.addIssue({ code: "custom", message });
  } else if (alone !== undefined && given.length > 1) {
    context.addIssue({ code: "custom", path: [alone], message: "stands alone: give no filter beside it" });
  }
}

export const DropBody = z
  .strictObject({ ...FilterFields, all, dryRun })
  .superRefine(wantSelection)
  .meta({ id: "DropRequest", description: "Which dead letters to drop" });

export const DEFAULT_RATE = 500;
export const RedriveBody = z
  .strictObject({
    sequence: z.int().min(1).optional().meta({ description: "One dead letter" }),
    ...FilterFields,
    all,
    dryRun,
    rate: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .meta({ description: `Dead letters a second, at most; default ${DEFAULT_RATE}` }),
  })
  .superRefine(wantSelection)
  .meta({ id: "RedriveRequest", description: "Which dead letters to decide again" });

const letterFields = {
  sequence: z.int(),
  time: z.string(),
  subject: z.string(),
  origin: z.string(),
  policy: z.string(),
  policyVersion: z.string(),
  rule: z.string(),
  reason: z.string(),
  error: z.string(),
  position: z.int(),
  headers: z.record(z.string(), z.array(z.string())),
  sizeBytes: z.int(),
};

export const DeadLetter: z.ZodType<report.DeadLetter> = z.object(letterFields).meta({
  id: "DeadLetter",
  description: "An event that a policy could not decide; its payload is not shown",
});

/** A dead letter as JSON has it: the payload as text where it is UTF-8. */
export interface ShownLetter extends Omit<report.DeadLetterDetail, "payload"> {
  readonly payloadText?: string | undefined;
  readonly payloadBase64?: string | undefined;
}

export const DeadLetterDetail: z.ZodType<ShownLetter> = z
  .object({
    ...letterFields,
    truncated: z.boolean().meta({ description: "Only a part of the event is kept" }),
    payloadText: z.string().optional().meta({ description: "With payload=true, where it is UTF-8" }),
    payloadBase64: z.string().optional().meta({ description: "With payload=true, where it is not" }),
  })
  .meta({ id: "DeadLetterDetail" });

export const RedriveReport: z.ZodType<redrive.RedriveReport> = z
  .object({
    id: z.string(),
    tenant: z.string(),
    state: z.enum(["running", "done", "canceled", "failed"]),
    dryRun: z.boolean(),
    rate: z.int(),
    startedAt: z.string(),
    endedAt: z.string().nullable(),
    done: z.int().meta({ description: "Dead letters dealt with: forwarded, dropped or kept" }),
    forwarded: z.int(),
    dropped: z.int().meta({ description: "The policy of now denies them or has no rule for them" }),
    kept: z.int().meta({ description: "They stay dead letters" }),
    samples: z
      .array(
        z.object({
          sequence: z.int(),
          subject: z.string(),
          policy: z.string(),
          outcome: z.enum(["forward", "drop", "keep"]),
          reason: z.string().nullable(),
          error: z.string().nullable(),
        }),
      )
      .meta({ description: "The first of each outcome" }),
    error: z.string().nullable(),
  })
  .meta({ id: "Redrive", description: "Dead letters decided again by the policy of now" });
