/** Export policies and their rules: the shapes of DESIGN.md §4, as zod schemas and their types. */
import { z } from "zod";
import { SchemaRef } from "./contract.ts";
import { ExportLimit, RuleLimit } from "./limit.ts";
import { Redaction } from "./redaction.ts";
import {
  byHeaderName,
  EventAttribute,
  HeaderName,
  HeaderPattern,
  HeaderValue,
  Name,
  Pattern,
  RewriteTarget,
} from "./scalars.ts";

export { Redaction };

export const HeaderRules = z
  .strictObject({
    drop: z.array(HeaderPattern).min(1).optional(),
    keep: z.array(HeaderPattern).min(1).optional().meta({
      description: "Only headers of these names leave (and Nats-Msg-Id); default: all",
    }),
    mask: z.array(HeaderPattern).min(1).optional().meta({
      description: "Headers whose value leaves as ***",
    }),
    rename: byHeaderName(HeaderName)
      .optional()
      .meta({
        description: "New names; a header that already has a new name goes",
        example: { "X-Order-Region": "region" },
      }),
    set: byHeaderName(HeaderValue).optional(),
  })
  .meta({ id: "HeaderRules" });
export type HeaderRules = z.infer<typeof HeaderRules>;

const EnvelopeFields = z.strictObject({
  in: z.enum(["auto", "structured", "binary", "none"]).optional().meta({
    description: "What events are expected to be; auto (default): what their headers say",
  }),
  out: z.enum(["same", "binary", "structured"]).optional().meta({
    description: "What events leave as; same (default): what they came as",
  }),
  type: EventAttribute.optional().meta({
    description: "Type of a plain event; default: the subject that it leaves under",
  }),
  source: EventAttribute.optional().meta({
    description: "Source of a plain event, a URI reference; default: /<origin>/<tenant>",
  }),
});

/** CloudEvents 1.0 as what events come and leave in. */
export const Envelope = z
  .union([z.enum(["cloudevents", "cloudevents-structured"]), EnvelopeFields])
  .meta({ id: "Envelope" });
export type Envelope = z.infer<typeof Envelope>;

/** Most of what a policy may list: checking and compiling compare each with each. */
const MOST_RULES = 256;
const MOST_SUBJECTS = 256;
const MOST_SUBJECTS_OF_POLICY = 1024;
const MOST_REDACTIONS = 64;

/** One rule of an export policy. The first rule that matches decides; no match, no export. */
export const Rule = z
  .strictObject({
    name: z.string().min(1).max(64).optional(),
    subjects: z.array(Pattern).min(1).max(MOST_SUBJECTS),
    when: z.string().min(1).max(4096).optional().meta({
      description: "CEL over subject, tokens, headers, data, origin, time and size; an error is a quarantine",
      example: '"region" in headers && headers["region"] == "EU"',
    }),
    deny: z.literal(true).optional(),
    schema: SchemaRef.optional(),
    redact: z.array(Redaction).min(1).max(MOST_REDACTIONS).optional(),
    headers: HeaderRules.optional(),
    envelope: Envelope.optional(),
    rewrite: RewriteTarget.optional(),
    limit: RuleLimit.optional(),
  })
  .superRefine((rule, context) => {
    if (rule.deny && rule.schema !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["schema"],
        message: "a rule that denies cannot ask for a schema: nothing of the event leaves",
      });
    }
    if (rule.deny && (rule.redact || rule.headers)) {
      context.addIssue({
        code: "custom",
        path: ["deny"],
        message: "a rule that denies cannot also redact or change headers: nothing of the event leaves",
      });
    }
    if (rule.deny && rule.limit !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["limit"],
        message: "a rule that denies cannot also limit: nothing of the event leaves",
      });
    }
    if (rule.deny && rule.rewrite !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["rewrite"],
        message: "a rule that denies cannot also rewrite subjects: nothing of the event leaves",
      });
    }
  })
  .meta({ id: "Rule" });
export type Rule = z.infer<typeof Rule>;

const ExportFields = z.strictObject({
  name: Name,
  to: z.array(Name).min(1),
  origin: Name.optional().meta({
    description: "Pass on events of this other site (transit); default: our own",
  }),
  start: z.enum(["new", "all"]).optional().meta({
    description: "Where a new route begins: with events from now on (default), or with all that is stored",
  }),
  limit: ExportLimit.optional(),
  rules: z.array(Rule).min(1).max(MOST_RULES),
});

function boundSubjects({ rules }: { readonly rules: readonly Rule[] }, context: z.RefinementCtx): void {
  const subjects = rules.reduce((sum, rule) => sum + rule.subjects.length, 0);
  if (subjects <= MOST_SUBJECTS_OF_POLICY) return;
  context.addIssue({
    code: "custom",
    path: ["rules"],
    message: `the rules list ${subjects} subjects in all, expected at most ${MOST_SUBJECTS_OF_POLICY}`,
  });
}

/** What one tenant lets a set of peers have. */
export const ExportPolicy = ExportFields.superRefine(boundSubjects).meta({ id: "ExportPolicy" });
export type ExportPolicy = z.infer<typeof ExportPolicy>;

/** The same where the name stands elsewhere: in the path of a request, or in the command that reads a file. */
export const NamedElsewhereExport = ExportFields.extend({
  name: Name.optional().meta({ description: "Stands in the path; here it may be left out" }),
}).superRefine(boundSubjects);

/** Rules that are tried beside those in force: a candidate of a diff or a shadow. */
export const CandidateRules = z
  .strictObject({ rules: ExportFields.shape.rules })
  .superRefine(boundSubjects)
  .meta({ id: "CandidateRules" });
export type CandidateRules = z.infer<typeof CandidateRules>;

/** What this site accepts of one tenant from one peer. */
export const ImportPolicy = z
  .strictObject({
    from: Name,
    origin: Name.optional().meta({
      description: "Accept events of this other site through the peer (transit)",
    }),
    subjects: z.array(Pattern).min(1).max(MOST_SUBJECTS),
    live: z
      .boolean()
      .optional()
      .meta({ description: "Republish to core subscribers (default true); false: log only" }),
    mirror: z.boolean().optional().meta({
      description: "Keep instead an exact read-only copy of what the peer exports, with the same sequences",
    }),
    replay: z.boolean().optional().meta({
      description:
        "Take what the peer replays, too: events that were sent before, marked by a header (default false)",
    }),
  })
  .meta({ id: "ImportPolicy" });
export type ImportPolicy = z.infer<typeof ImportPolicy>;
