/** What a change of a schema may do: add versions that compile and keep what was promised. A version never changes. */
import type { Problem } from "../../model/errors.ts";
import type { SchemaDocument, SchemaInFile, SchemaVersion } from "../../model/schema/contract.ts";
import { schemaLabel } from "../../model/schema_ref.ts";
import { canonicalJson } from "./canonical.ts";
import { compatibilityProblems } from "./compatibility.ts";
import { schemaProblems } from "./problems.ts";

export type SchemaChange =
  | { readonly type: "allowed" }
  /** A version is other than it was, or its number has been passed. */
  | { readonly type: "conflict"; readonly problems: readonly Problem[] }
  | { readonly type: "invalid"; readonly problems: readonly Problem[] }
  | { readonly type: "incompatible"; readonly problems: readonly Problem[] };

/** Judges a schema's document that takes the place of `before`. Paths of problems are within the document. */
export function judgeSchemaChange(before: SchemaDocument | null, after: SchemaDocument): SchemaChange {
  const conflicts = versionConflicts(before, after);
  if (conflicts.length > 0) return { type: "conflict", problems: conflicts };
  const known = new Set(before?.versions.map(({ version }) => version) ?? []);
  const invalid: Problem[] = [];
  const incompatible: Problem[] = [];
  for (const [index, version] of after.versions.entries()) {
    if (known.has(version.version)) continue;
    const at = `versions[${index}].schema`;
    const problems = contentProblems(version, at);
    invalid.push(...problems);
    const earlier = after.versions[index - 1];
    if (problems.length > 0 || earlier === undefined) continue;
    incompatible.push(...versionProblems(after, earlier, version, at));
  }
  if (invalid.length > 0) return { type: "invalid", problems: invalid };
  return incompatible.length > 0 ? { type: "incompatible", problems: incompatible } : { type: "allowed" };
}

/** Problems of schemas that a file brings, all versions of them being new. Paths begin with `at`. */
export function newSchemaProblems(schemas: readonly SchemaInFile[], at: string): Problem[] {
  const problems: Problem[] = [];
  for (const [index, schema] of schemas.entries()) {
    let earlier: SchemaVersion | null = null;
    for (const [place, version] of schema.versions.entries()) {
      const path = `${at}[${index}].versions[${place}]`;
      if ("file" in version) {
        problems.push({ path: `${path}.file`, message: `'${version.file}' has not been read` });
        earlier = null;
        continue;
      }
      const found = contentProblems(version, `${path}.schema`);
      problems.push(...found);
      if (found.length === 0 && earlier !== null) {
        problems.push(...versionProblems(schema, earlier, version, `${path}.schema`));
      }
      earlier = found.length === 0 ? version : null;
    }
  }
  return problems;
}

/** Problems of one version's content, each with its place in the schema. */
function contentProblems({ schema }: SchemaVersion, at: string): Problem[] {
  return schemaProblems(schema).map(({ path, message }) => ({ path: at, message: `${path}: ${message}` }));
}

function versionProblems(
  { name, compatibility = "backward" }: Pick<SchemaInFile, "name" | "compatibility">,
  earlier: SchemaVersion,
  version: SchemaVersion,
  at: string,
): Problem[] {
  if (version.force === true) return [];
  return compatibilityProblems(earlier.schema, version.schema, compatibility).map(({ path, message }) => ({
    path: at,
    message: `${path}: ${message} (${schemaLabel(name, version.version)} beside ${schemaLabel(name, earlier.version)})`,
  }));
}

function versionConflicts(before: SchemaDocument | null, after: SchemaDocument): Problem[] {
  const problems: Problem[] = [];
  const latest = Math.max(0, ...(before?.versions.map(({ version }) => version) ?? []));
  for (const [index, { version, schema }] of after.versions.entries()) {
    const old = before?.versions.find((one) => one.version === version);
    if (old === undefined && version < latest) {
      const message = `version ${version} comes before the latest, ${latest}: new versions go up`;
      problems.push({ path: `versions[${index}].version`, message });
    } else if (old !== undefined && canonicalJson(old.schema, null) !== canonicalJson(schema, null)) {
      const message = `version ${version} is registered with another content: a version never changes, register ${latest + 1}`;
      problems.push({ path: `versions[${index}].schema`, message });
    }
  }
  return problems;
}
