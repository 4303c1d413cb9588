/** Redactions of payloads: which values or texts, and what to do with them. */
import { z } from "zod";
import { jsonText } from "./scalars.ts";

const JsonPath = z.string().min(1).meta({
  description: "JSONPath (RFC 9535): names, indexes, slices, wildcards, descendants",
  example: "$.customer.email",
});

/** Detectors that stand ready. */
export const DETECTOR_NAMES = ["email", "card", "iban", "phone", "ip", "token"] as const;
export type DetectorName = (typeof DETECTOR_NAMES)[number];

/** A detector of one's own. */
export const CustomDetector = z
  .strictObject({
    name: z.string().min(1).max(64).meta({ description: "For messages", example: "employee" }),
    pattern: z.string().min(1).max(512).meta({
      description: "Regular expression in the syntax of RE2: no backreferences, no look-around",
      example: "EMP-[0-9]{6}",
    }),
  })
  .meta({ id: "CustomDetector" });
export type CustomDetector = z.infer<typeof CustomDetector>;

const Detectors = z
  .array(z.union([z.enum(DETECTOR_NAMES), CustomDetector]))
  .min(1)
  .max(16);

const Kept = z.int().min(1).max(64);
const Keep = z
  .union([z.enum(["domain", "length"]), z.strictObject({ first: Kept.optional(), last: Kept.optional() })])
  .meta({
    description:
      "What stays readable: the domain of an e-mail address, the number of characters, or first and last characters",
  });

/** What every redaction may look at: values that a path selects, or what detectors find in texts, everywhere or below the path. */
const target = {
  path: JsonPath.optional(),
  detect: Detectors.optional().meta({
    description: "Find these in texts, everywhere or in what the path selects, and redact what was found",
  }),
};

const Value = z.union([jsonText(1024), z.number(), z.boolean(), z.null()]).meta({
  description: "What arrives instead",
});

/** What to do with the values that a path selects, or with what detectors find. */
export const Redaction = z
  .discriminatedUnion("with", [
    z.strictObject({ ...target, with: z.literal("remove") }),
    z.strictObject({ ...target, with: z.literal("mask"), keep: Keep.optional() }),
    z.strictObject({ ...target, with: z.literal("replace"), value: Value }),
    z.strictObject({
      path: JsonPath,
      with: z.literal("truncate"),
      length: z.int().min(1).max(1_000_000).meta({ description: "Characters that stay" }),
    }),
    z.strictObject({ ...target, with: z.literal("pseudonym") }),
    z.strictObject({ path: JsonPath, with: z.literal("encrypt") }),
  ])
  .superRefine((redaction, context) => {
    const detect = "detect" in redaction ? redaction.detect : undefined;
    if (redaction.path === undefined && detect === undefined) {
      context.addIssue({
        code: "custom",
        path: ["path"],
        message: "is missing (expected a path, or 'detect' for texts anywhere)",
      });
    }
    if (redaction.with !== "replace") return;
    const { value } = redaction;
    if (detect !== undefined && typeof value !== "string") {
      context.addIssue({
        code: "custom",
        path: ["value"],
        message: `${JSON.stringify(value)} cannot stand inside of a text, expected text`,
      });
    }
    if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      context.addIssue({
        code: "custom",
        path: ["value"],
        message: `${value} is no number that every reader takes for the same: put it in quotes`,
      });
    }
  })
  .meta({ id: "Redaction" });
export type Redaction = z.infer<typeof Redaction>;
