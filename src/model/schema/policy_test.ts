/** Test files of policies (`policy.test.yaml`): events, and what a policy must say of each. */
import { z } from "zod";
import { patternProblem } from "../subject.ts";
import { byHeaderName, HeaderName, HeaderValue, Name } from "./scalars.ts";

const FORMS = ["json", "text", "base64", "file"] as const;

/** A payload in one of four forms. */
export const TestPayload = z
  .strictObject({
    json: z.unknown().optional().meta({ description: "A value; as an event it is written without spaces" }),
    text: z.string().optional().meta({ description: "Byte for byte: numbers and spaces stay as written" }),
    base64: z.base64({ error: "is no base64" }).optional(),
    file: z.string().min(1).optional().meta({ description: "Path, relative to the test file" }),
  })
  .superRefine((payload, context) => {
    const given = FORMS.filter((form) => form in payload);
    if (given.length !== 1) {
      const found = given.length === 0 ? "none of" : `${given.join(" and ")}, expected only one of`;
      context.addIssue({ code: "custom", message: `has ${found} ${FORMS.join(", ")}` });
    }
    const inexact = inexactNumber(payload.json);
    if (inexact !== null) {
      const message = `holds the number ${inexact}, which may not be what is written: give the payload as 'text'`;
      context.addIssue({ code: "custom", path: ["json"], message });
    }
  });
export type TestPayload = z.infer<typeof TestPayload>;

/** A number that is not what was written in the file; `null` when there is none. */
function inexactNumber(root: unknown): number | null {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === "number") {
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) return value;
    } else if (typeof value === "object" && value !== null) open.push(...Object.values(value));
  }
  return null;
}

const Outcome = z.enum(["forward", "drop", "quarantine"]);
/** Of what leaves: these speak of a forwarded event alone. */
const OF_FORWARD = ["subject", "payload", "headers"] as const;

export const TestExpectation = z
  .strictObject({
    outcome: Outcome,
    rule: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Name of the rule that decides, or its place: #1" }),
    reason: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Why it is dropped or quarantined", example: "denied" }),
    subject: z.string().min(1).optional().meta({ description: "The subject that it leaves under" }),
    payload: TestPayload.optional().meta({
      description: "What leaves: json compares values, the other forms compare bytes",
    }),
    headers: z
      .strictObject({
        present: byHeaderName(z.union([HeaderValue, z.array(HeaderValue)])).optional(),
        absent: z.array(HeaderName).min(1).optional(),
      })
      .optional(),
    not: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .meta({ description: "Texts that nothing that leaves may hold, in any escaping" }),
  })
  .superRefine((expected, context) => {
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: "custom", path: [field], message });
    if (expected.outcome === "forward") {
      if (expected.reason !== undefined) refuse("reason", "goes with drop or quarantine: a forward has none");
      return;
    }
    for (const field of OF_FORWARD) {
      if (expected[field] !== undefined) {
        refuse(field, `goes with outcome: forward: otherwise nothing leaves`);
      }
    }
  });
export type TestExpectation = z.infer<typeof TestExpectation>;

const Subject = z.string().superRefine((text, context) => {
  const problem = patternProblem(text, { wildcards: false });
  if (problem !== null)
    context.addIssue({ code: "custom", message: `'${text}' is no subject: it ${problem}` });
});

/** One event, and what must become of it. */
export const PolicyTest = z.strictObject({
  name: z.string().min(1),
  export: Name.optional().meta({ description: "The export policy; where a tenant has one alone, that" }),
  subject: Subject,
  headers: byHeaderName(z.union([HeaderValue, z.array(HeaderValue)])).optional(),
  payload: TestPayload.optional().meta({ description: "Default: none" }),
  origin: Name.optional().meta({ description: "Where it was published; default: where the policy reads" }),
  time: z.iso
    .datetime({
      offset: true,
      error: ({ input }) => `'${String(input)}' is no time (expected for example 2026-01-31T12:00:00Z)`,
    })
    .optional()
    .meta({ description: "When it was stored; default 2000-01-01T00:00:00Z" }),
  expect: z.union([Outcome, TestExpectation]),
});
export type PolicyTest = z.infer<typeof PolicyTest>;

/** A test file. */
export const PolicyTestFile = z.strictObject({
  policy: z.string().min(1).optional().meta({
    description: "The file with the policies, relative to this one; default: its name without '.test'",
  }),
  export: Name.optional().meta({ description: "The export policy of tests that name none" }),
  tests: z.array(PolicyTest).min(1),
});
export type PolicyTestFile = z.infer<typeof PolicyTestFile>;
