/** Schemas that stand in files of their own: read once, when the file that names them is read. */
import { errorText, LeafmeshError, type Problem } from "./errors.ts";
import type { JsonSchema, SchemaDocument, SchemaInFile } from "./schema/contract.ts";
import type { TenantDocument } from "./schema/tenant.ts";

/** Reads a file that a site or tenant file names, by the path that stands there. */
export type ReadNamedFile = (path: string) => string;

const MAX_FILE_CHARACTERS = 1024 * 1024;

/** The files that the schemas of tenants stand in. */
export function schemaFilesOf(tenants: readonly TenantDocument[]): string[] {
  return tenants.flatMap(({ schemas = [] }) =>
    schemas.flatMap(({ versions }) => versions.flatMap((one) => ("file" in one ? [one.file] : []))),
  );
}

/** Tenants with the schemas of their `file:` entries in place; problems have the paths of a list of tenants (`[0].schemas…`). */
export function inlineSchemaFiles(
  tenants: readonly TenantDocument[],
  read: ReadNamedFile,
): { readonly tenants: TenantDocument[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const inlined: TenantDocument[] = [];
  for (const [index, tenant] of tenants.entries()) {
    if (tenant.schemas === undefined) {
      inlined.push(tenant);
      continue;
    }
    const schemas: SchemaInFile[] = [];
    for (const [place, schema] of tenant.schemas.entries()) {
      const versions: SchemaInFile["versions"] = [];
      for (const [number, version] of schema.versions.entries()) {
        if (!("file" in version)) {
          versions.push(version);
          continue;
        }
        const { file, ...rest } = version;
        try {
          versions.push({ ...rest, schema: parseSchemaFile(read(file)) });
        } catch (thrown) {
          const path = `[${index}].schemas[${place}].versions[${number}].file`;
          problems.push({ path, message: `'${file}' cannot be read as a JSON Schema: ${errorText(thrown)}` });
          versions.push(version);
        }
      }
      schemas.push({ ...schema, versions });
    }
    inlined.push({ ...tenant, schemas });
  }
  return { tenants: inlined, problems };
}

/** The JSON of a schema's own file. @throws Error with what is wrong */
export function parseSchemaFile(text: string): JsonSchema {
  if (text.length > MAX_FILE_CHARACTERS) throw new Error(`is larger than ${MAX_FILE_CHARACTERS} characters`);
  const value: unknown = JSON.parse(text.replace(/^\ufeff/, ""));
  if (typeof value === "boolean") return value;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error("a JSON Schema is a map, true or false");
}

/** A schema whose files have been read. @throws {LeafmeshError} `config_invalid` when one has not */
export function inlineSchema(schema: SchemaInFile): SchemaDocument {
  const versions = schema.versions.map((version) => {
    if (!("file" in version)) return version;
    throw new LeafmeshError("config_invalid", `The schema file '${version.file}' has not been read`);
  });
  return { ...schema, versions };
}
