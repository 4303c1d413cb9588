/** Writes the documents of a file, each under the revision that was read. */
import { isDeepStrictEqual } from "node:util";
import type { DocumentList, SchemaSummary } from "../../routes/answers.ts";
import { formatProblem, LeafmeshError } from "../model/errors.ts";
import { SchemaDocument } from "../model/schema/contract.ts";
import type { ExportPolicy, ImportPolicy } from "../model/schema/policy.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { inlineSchema } from "../model/schema_files.ts";
import type { ApplyFile } from "../model/site_file.ts";
import type { ApiClient } from "./client.ts";
import { paths } from "./paths.ts";

/** One resource that a file names. */
export interface FileDocument {
  /** For example `export acme/eu-orders`. */
  readonly label: string;
  readonly path: string;
  readonly value: object;
  /** The tenant whose document it stands in; `null` for a peer. */
  readonly tenant: string | null;
  /** Fields that stay as they are where the file does not name them. */
  readonly keeps?: readonly string[];
  /** What is written where there is such a document already; default: the value. */
  readonly merge?: (found: unknown) => object;
}

export interface Change {
  readonly label: string;
  readonly done: "created" | "changed" | "unchanged";
}

/** The resources of a file in the order that the state accepts: peers, tenants, imports, exports. */
export function documentsOf(file: ApplyFile): FileDocument[] {
  const tenants =
    file.type === "site" ? (file.site.value.tenants ?? []) : file.tenants.map(({ value }) => value);
  const peers = file.type === "site" ? (file.site.value.peers ?? []) : [];
  return [
    ...peers.map((value) => ({
      label: `peer ${value.name}`,
      path: paths.peer(value.name),
      value,
      tenant: null,
    })),
    ...tenants.map(tenantDocument),
    ...tenants.flatMap(({ tenant, schemas = [] }) =>
      schemas.map((schema) => schemaDocument(tenant, inlineSchema(schema))),
    ),
    ...tenants.flatMap(({ tenant, imports = [] }) => imports.map((value) => importDocument(tenant, value))),
    ...tenants.flatMap(({ tenant, exports = [] }) => exports.map((value) => exportDocument(tenant, value))),
  ];
}

/** Versions that the file does not name stay. */
function schemaDocument(tenant: string, value: SchemaDocument): FileDocument {
  return {
    label: `schema ${tenant}/${value.name}`,
    path: paths.schema(tenant, value.name),
    value,
    tenant,
    merge: (found) => mergedSchema(found, value),
  };
}

function mergedSchema(found: unknown, value: SchemaDocument): SchemaDocument {
  const known = SchemaDocument.safeParse(found);
  if (!known.success) return value;
  const named = new Set(value.versions.map(({ version }) => version));
  const kept = known.data.versions.filter(({ version }) => !named.has(version));
  return { ...value, versions: [...kept, ...value.versions].sort((a, b) => a.version - b.version) };
}

export function importDocument(tenant: string, value: ImportPolicy): FileDocument {
  const origin = value.origin === value.from ? undefined : value.origin;
  const through = origin === undefined ? "" : ` of ${origin}`;
  return {
    label: `import ${tenant}/${value.from}${through}`,
    path: paths.import(tenant, value.from, origin),
    value,
    tenant,
  };
}

export function exportDocument(tenant: string, value: ExportPolicy): FileDocument {
  return { label: `export ${tenant}/${value.name}`, path: paths.export(tenant, value.name), value, tenant };
}

/** Exports and imports of the file's tenants that stand in the state and not in the file. */
export async function keptBeside(client: ApiClient, documents: readonly FileDocument[]): Promise<string[]> {
  const named = new Set(documents.map(({ path }) => path));
  const kept: string[] = [];
  for (const tenant of new Set(documents.map((document) => document.tenant))) {
    if (tenant === null || (await client.find(paths.tenant(tenant))) === null) continue;
    const schemas = await client.get<DocumentList<SchemaSummary>>(paths.schemas(tenant));
    const imports = await client.get<DocumentList<ImportPolicy>>(paths.imports(tenant));
    const exports = await client.get<DocumentList<ExportPolicy>>(paths.exports(tenant));
    const all = [
      ...schemas.items.map(({ value: { name } }) => ({
        label: `schema ${tenant}/${name}`,
        path: paths.schema(tenant, name),
      })),
      ...imports.items.map(({ value }) => importDocument(tenant, value)),
      ...exports.items.map(({ value }) => exportDocument(tenant, value)),
    ];
    kept.push(...all.filter(({ path }) => !named.has(path)).map(({ label }) => label));
  }
  return kept;
}

/**
 * Writes all documents that differ. What the state refuses because of another document of the file (a peer that moves
 * from one export to another) is tried again after the others.
 *
 * @throws LeafmeshError the first refusal that stays, with what was written before it
 */
export async function writeDocuments(
  client: ApiClient,
  documents: readonly FileDocument[],
): Promise<Change[]> {
  const changes = new Map<FileDocument, Change>();
  let open = [...documents];
  while (open.length > 0) {
    const refused: { document: FileDocument; error: LeafmeshError }[] = [];
    for (const document of open) {
      try {
        changes.set(document, await writeDocument(client, document));
      } catch (thrown) {
        if (!isRefusal(thrown)) throw told(thrown, document, [...changes.values()]);
        refused.push({ document, error: thrown });
      }
    }
    const [first] = refused;
    if (first !== undefined && refused.length === open.length) {
      throw told(first.error, first.document, [...changes.values()]);
    }
    open = refused.map(({ document }) => document);
  }
  return documents.flatMap((document) => changes.get(document) ?? []);
}

async function writeDocument(client: ApiClient, document: FileDocument): Promise<Change> {
  const { label, path, keeps = [] } = document;
  const found = await client.find<Readonly<Record<string, unknown>>>(path);
  const kept = Object.entries(found?.value ?? {}).filter(([field]) => keeps.includes(field));
  const own = found === null ? document.value : (document.merge?.(found.value) ?? document.value);
  const value = { ...Object.fromEntries(kept), ...own };
  if (found === null) {
    await client.put(path, value, "create");
    return { label, done: "created" };
  }
  if (isDeepStrictEqual(plain(found.value), plain(value))) return { label, done: "unchanged" };
  await client.put(path, value, { ifMatch: found.etag });
  return { label, done: "changed" };
}

/** Settings alone: exports and imports are resources of their own. */
function tenantDocument({
  schemas: _schemas,
  exports: _exports,
  imports: _imports,
  ...value
}: TenantDocument): FileDocument {
  // Users are often added one by one: a file that does not speak of them does not lock them out.
  const keeps = ["users"];
  return {
    label: `tenant ${value.tenant}`,
    path: paths.tenant(value.tenant),
    value,
    tenant: value.tenant,
    keeps,
  };
}

function isRefusal(thrown: unknown): thrown is LeafmeshError {
  return (
    thrown instanceof LeafmeshError && (thrown.code === "policy_invalid" || thrown.code === "config_invalid")
  );
}

/** The error with what it is about, and what stands already. */
function told(thrown: unknown, { label }: FileDocument, before: readonly Change[]): unknown {
  if (!(thrown instanceof LeafmeshError)) return thrown;
  const written = before
    .filter(({ done }) => done !== "unchanged")
    .map((change) => `${change.done}: ${change.label}`);
  const problems = thrown.problems
    .filter((problem) => !thrown.message.includes(problem.message))
    .map((problem) => `\n  ${formatProblem(problem)}`);
  const about = thrown.message.includes(label) ? "" : `${label}: `;
  const done = written.length === 0 ? "" : `\nWritten before that: ${written.join(", ")}`;
  return new LeafmeshError(thrown.code, `${about}${thrown.message}${problems.join("")}${done}`, {
    cause: thrown,
    problems: thrown.problems,
  });
}

/** As JSON has it: a key that is undefined is no key. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
