/** The schemas of a tenant as rules name them. */
import type { Problem } from "../../model/errors.ts";
import type { SchemaDocument, SchemaInFile, SchemaVersion } from "../../model/schema/contract.ts";
import type { TenantDocument } from "../../model/schema/tenant.ts";
import { parseSchemaRef, schemaLabel } from "../../model/schema_ref.ts";
import { nearestWord } from "../../model/suggest.ts";

export type FoundSchema =
  | { readonly type: "found"; readonly label: string; readonly version: SchemaVersion }
  | { readonly type: "missing"; readonly problem: string };

/** The version that a rule's `schema` stands for: `order` is the latest one. */
export function findSchema(schemas: readonly SchemaDocument[], ref: string): FoundSchema {
  const problem = schemaRefProblem(schemas, ref);
  if (problem !== null) return { type: "missing", problem };
  const parsed = parseSchemaRef(ref);
  const document = schemas.find(({ name }) => name === parsed?.name);
  const version =
    parsed?.version === null
      ? document?.versions.reduce((latest, one) => (one.version > latest.version ? one : latest))
      : document?.versions.find((one) => one.version === parsed?.version);
  if (document === undefined || version === undefined)
    return { type: "missing", problem: `'${ref}' is not there` };
  return { type: "found", label: schemaLabel(document.name, version.version), version };
}

/** Why a rule cannot name this schema; `null` when it can. */
function schemaRefProblem(schemas: readonly SchemaInFile[], ref: string): string | null {
  const parsed = parseSchemaRef(ref);
  if (parsed === null) return `'${ref}' names no schema`;
  const document = schemas.find(({ name }) => name === parsed.name);
  if (document === undefined) {
    const known = schemas.map(({ name }) => name);
    const near = nearestWord(parsed.name, known);
    const hint =
      near !== null
        ? `did you mean '${near}'?`
        : known.length === 0
          ? "the tenant has none"
          : `known are ${known.join(", ")}`;
    return `schema '${parsed.name}' is not registered (${hint})`;
  }
  const numbers = document.versions.map(({ version }) => version);
  if (parsed.version === null || numbers.includes(parsed.version)) return null;
  return `schema '${parsed.name}' has no version ${parsed.version} (registered: ${numbers.join(", ")})`;
}

/** What is wrong with the schemas of a tenant beside their content: names and the order of versions. Paths begin with `at`. */
function registryProblems(schemas: readonly SchemaInFile[], at: string): Problem[] {
  const problems: Problem[] = [];
  const names = new Map<string, number>();
  for (const [index, schema] of schemas.entries()) {
    const earlier = names.get(schema.name);
    if (earlier !== undefined) {
      problems.push({
        path: `${at}[${index}].name`,
        message: `Schema '${schema.name}' has the name of ${at}[${earlier}]`,
      });
    } else names.set(schema.name, index);
    let last = 0;
    for (const [place, { version }] of schema.versions.entries()) {
      if (version <= last) {
        problems.push({
          path: `${at}[${index}].versions[${place}].version`,
          message: `Version ${version} of schema '${schema.name}' stands after version ${last}: versions go up`,
        });
      }
      last = Math.max(last, version);
    }
  }
  return problems;
}

/** What is wrong with a tenant's schemas and with what its rules name of them; paths are within its document. */
export function tenantSchemaProblems(tenant: TenantDocument): Problem[] {
  const { schemas = [], exports = [] } = tenant;
  const problems = registryProblems(schemas, "schemas");
  for (const [index, policy] of exports.entries()) {
    for (const [place, { schema }] of policy.rules.entries()) {
      const problem = schema === undefined ? null : schemaRefProblem(schemas, schema);
      if (problem !== null)
        problems.push({ path: `exports[${index}].rules[${place}].schema`, message: problem });
    }
  }
  return problems;
}
