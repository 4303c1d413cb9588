/** What lint says, and the file that it is asked about. */
import { z } from "@hono/zod-openapi";
import type * as model from "../../src/model/finding.ts";
import { LINT_CODES, type LintCode } from "../../src/model/lint_codes.ts";

export const LintBody = z
  .strictObject({
    text: z
      .string()
      .meta({ description: "A site file or tenants' documents, YAML or JSON", example: "site: berlin" }),
    name: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .meta({ description: "What findings call it; default: site.yaml" }),
  })
  .meta({ id: "LintRequest" });

const place = {
  message: z.string(),
  file: z.string(),
  path: z.string().meta({ example: "tenants[0].exports[0].rules[1]" }),
  line: z.int().exactOptional(),
  column: z.int().exactOptional(),
};

export const LintReport: z.ZodType<model.LintReport> = z
  .object({
    files: z.array(z.string()),
    findings: z.array(
      z
        .object({
          ...place,
          code: z.enum(Object.keys(LINT_CODES) as [LintCode, ...LintCode[]]),
          severity: z.enum(["error", "warning"]),
          related: z.array(z.object(place)),
        })
        .meta({ id: "Finding" }),
    ),
    errors: z.int(),
    warnings: z.int(),
  })
  .meta({ id: "Lint", description: "All findings, sorted by file and place" });
