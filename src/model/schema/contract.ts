/** Schema contracts: JSON Schemas of a tenant, by name and version, that rules of its export policies name. */
import { z } from "zod";
import { parseSchemaRef, SCHEMA_REF_FORM } from "../schema_ref.ts";
import { Name } from "./scalars.ts";

/** Most versions of a schema, and most schemas of a tenant: every write of a document checks the whole state. */
const MOST_VERSIONS = 32;
export const MOST_SCHEMAS = 64;

const SchemaName = Name.meta({ example: "order" });

/** A JSON Schema, as it stands in a document. What is in it is checked by the policy engine. */
export const JsonSchema = z
  .union([z.boolean(), z.record(z.string(), z.unknown())])
  .meta({ description: "JSON Schema 2020-12", example: { type: "object", required: ["id"] } });

export type JsonSchema = z.infer<typeof JsonSchema>;

export const Compatibility = z.enum(["backward", "forward", "full", "none"]).meta({
  description:
    "What a new version must keep: backward (default): what was valid stays valid; forward: what is valid was valid before; full: both; none: nothing",
});
export type Compatibility = z.infer<typeof Compatibility>;

const VersionNumber = z.int().min(1).max(1_000_000);
const Force = z
  .literal(true)
  .optional()
  .meta({ description: "Registered without a proof that it is compatible with the version before" });

/** One version of a schema: it never changes. */
export const SchemaVersion = z
  .strictObject({ version: VersionNumber, schema: JsonSchema, force: Force })
  .meta({ id: "SchemaVersion" });
export type SchemaVersion = z.infer<typeof SchemaVersion>;

/** The same in a file, where the schema may stand in a file of its own. */
export const SchemaVersionInFile = z.union([
  SchemaVersion,
  z.strictObject({
    version: VersionNumber,
    file: z.string().min(1).meta({
      description: "The JSON Schema as JSON, relative to this file",
      example: "schemas/order-1.json",
    }),
    force: Force,
  }),
]);
export type SchemaVersionInFile = z.infer<typeof SchemaVersionInFile>;

/** A schema with all its versions: one document of the state. */
export const SchemaDocument = z
  .strictObject({
    name: SchemaName,
    compatibility: Compatibility.optional(),
    versions: z.array(SchemaVersion).min(1).max(MOST_VERSIONS),
  })
  .meta({ id: "SchemaDocument" });
export type SchemaDocument = z.infer<typeof SchemaDocument>;

/** A schema as it stands in a site file or a tenant's file. */
export const SchemaInFile = SchemaDocument.extend({
  versions: z.array(SchemaVersionInFile).min(1).max(MOST_VERSIONS),
}).meta({ id: "SchemaInFile" });
export type SchemaInFile = z.infer<typeof SchemaInFile>;

/** How a rule names a schema: the latest version, or one version. */
export const SchemaRef = z
  .string()
  .superRefine((text, context) => {
    if (parseSchemaRef(text) !== null) return;
    context.addIssue({ code: "custom", message: `'${text}' names no schema (expected ${SCHEMA_REF_FORM})` });
  })
  .meta({
    description: "Schema that the payload must be valid by: its latest version, or with @2 version 2",
    example: "order@2",
  });
