/** Requests and answers about schemas. */
import { z } from "@hono/zod-openapi";
import { Compatibility, JsonSchema, SchemaDocument, SchemaVersion } from "../../src/model/schema/contract.ts";
import { Name } from "../../src/model/schema/scalars.ts";
import { TenantParams } from "./request.ts";

export const SchemaParams = TenantParams.extend({ name: Name.meta({ example: "order" }) });
export const VersionParams = SchemaParams.extend({
  version: z
    .string()
    .regex(/^[1-9][0-9]{0,6}$/, {
      error: (issue) => `'${String(issue.input)}' is no version (expected 1 and up)`,
    })
    .meta({ example: "2" }),
});

export const SchemaBody = SchemaDocument.extend({
  name: Name.optional().meta({ description: "As in the URL; may be left out" }),
}).meta({ id: "SchemaBody" });
export const VersionBody = SchemaVersion.omit({ version: true }).meta({ id: "SchemaVersionBody" });
export const SchemaCheckBody = z.strictObject({ schema: JsonSchema }).meta({ id: "SchemaCheckRequest" });

export const SchemaSummary = z
  .object({
    name: Name,
    compatibility: Compatibility,
    versions: z.array(z.object({ version: z.int(), force: z.literal(true).optional() })),
  })
  .meta({ id: "SchemaSummary" });

export const SchemaCheckReport = z
  .object({
    ok: z.boolean(),
    version: z.int().meta({ description: "What it would be" }),
    against: z.int().nullable().meta({ description: "The version that it is held against; null: the first" }),
    compatibility: Compatibility,
    code: z.string().nullable().meta({ description: "What registering it would be refused with" }),
    problems: z.array(z.object({ path: z.string(), message: z.string() })),
  })
  .meta({ id: "SchemaCheck" });
