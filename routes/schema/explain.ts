/** An event to explain, and what becomes of it. */
import { z } from "@hono/zod-openapi";
import type * as report from "../../src/control/explain_api.ts";
import { HeaderName, HeaderValue, Name } from "../../src/model/schema/scalars.ts";
import { patternProblem } from "../../src/model/subject.ts";

const Subject = z
  .string()
  .superRefine((text, context) => {
    const problem = patternProblem(text, { wildcards: false });
    if (problem !== null)
      context.addIssue({ code: "custom", message: `'${text}' is no subject: it ${problem}` });
  })
  .meta({ example: "acme.orders.created.v1" });

export const ExplainBody = z
  .strictObject({
    subject: Subject,
    headers: z
      .record(HeaderName, z.union([HeaderValue, z.array(HeaderValue)]))
      .optional()
      .meta({ example: { region: "EU" } }),
    data: z.unknown().optional().meta({ description: "The payload as JSON" }),
    dataText: z.string().optional().meta({ description: "The payload as text, byte for byte" }),
    dataBase64: z.base64().optional().meta({ description: "The payload in base64" }),
    origin: Name.optional().meta({ description: "Where the event was published; default: this site" }),
  })
  .superRefine((body, context) => {
    const given = ["data", "dataText", "dataBase64"].filter((field) => field in body);
    if (given.length > 1) {
      context.addIssue({
        code: "custom",
        path: [given[1] ?? ""],
        message: `give only one of ${given.join(", ")}`,
      });
    }
  })
  .meta({ id: "ExplainRequest", description: "Nothing is published. Without a payload it is empty." });
export type ExplainBody = z.infer<typeof ExplainBody>;

/** The explained result as JSON has it: the payload as text where it is UTF-8. */
export interface ShownResult extends Omit<NonNullable<report.ExplainPeer["result"]>, "data"> {
  readonly dataText?: string | undefined;
  readonly dataBase64?: string | undefined;
}
export interface ShownReport extends Omit<report.ExplainReport, "peers"> {
  readonly peers: readonly (Omit<report.ExplainPeer, "result"> & { readonly result: ShownResult | null })[];
}

const ResultSchema = z
  .object({
    subject: z.string(),
    headers: z.record(z.string(), z.array(z.string())),
    dataText: z.string().optional().meta({ description: "The payload, where it is UTF-8" }),
    dataBase64: z.string().optional().meta({ description: "The payload, where it is not" }),
    redactions: z.int(),
  })
  .meta({ id: "ExplainResult", description: "What the peer would get" });

export const ExplainResponse: z.ZodType<ShownReport> = z
  .object({
    tenant: z.string(),
    subject: z.string(),
    peers: z.array(
      z
        .object({
          peer: z.string(),
          policy: z.string().nullable(),
          kind: z.enum(["native", "view"]).nullable(),
          outcome: z.enum(["forward", "drop", "quarantine"]),
          rule: z.string().nullable(),
          reason: z.string(),
          steps: z.array(z.object({ rule: z.string(), outcome: z.string() })),
          result: ResultSchema.nullable(),
          accepted: z.enum(["yes", "no", "unknown"]),
        })
        .meta({ id: "ExplainPeer" }),
    ),
    notes: z.array(z.string()).meta({
      description: "What is shown otherwise than peers would get it, such as keys that are not there yet",
    }),
  })
  .meta({ id: "Explanation" });
