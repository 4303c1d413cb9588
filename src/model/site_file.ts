/**
 * Reads the files that people write: the site file, files of tenants, and files of one resource. Every problem of a file
 * is reported at once, with its path, line and column.
 */
import type { z } from "zod";
import type { Problem } from "./errors.ts";
import { formatPath } from "./problem_path.ts";
import { SiteFile } from "./schema/site.ts";
import { TenantDocument } from "./schema/tenant.ts";
import { schemaProblems } from "./schema_problems.ts";
import { withoutSecrets } from "./secrets.ts";
import { invalidFile, parseSource, placeOf, type SourceDocument } from "./source.ts";

export { locateProblems, placeOf as placeInSource, type SourceDocument } from "./source.ts";

/** A value and the document it was read from: what {@link locateProblems} needs for problems found later. */
export interface Located<T> {
  readonly value: T;
  readonly source: SourceDocument;
}

/** What `leafmesh apply -f` takes. */
export type ApplyFile =
  | { readonly type: "site"; readonly site: Located<SiteFile> }
  | { readonly type: "tenants"; readonly tenants: readonly Located<TenantDocument>[] };

/**
 * A site file (`site.yaml`).
 *
 * @throws LeafmeshError `config_invalid` with all problems; its message has one line for each
 */
export function parseSiteFile(text: string, fileName: string): SiteFile {
  return parseLocated(SiteFile, text, fileName).value;
}

/** As {@link parseSiteFile}, with the source, so that checks of meaning can say line and column too. */
export function parseLocatedSiteFile(text: string, fileName: string): Located<SiteFile> {
  return parseLocated(SiteFile, text, fileName);
}

/**
 * One tenant's document, or several in a multi-document YAML.
 *
 * @throws LeafmeshError `config_invalid` with the problems of all documents
 */
export function parseTenantFile(text: string, fileName: string): TenantDocument[] {
  return readTenants(parseSource(text, fileName), fileName).map(({ value }) => value);
}

/**
 * A file that is either a site file (it has the key `site`) or holds tenants' documents.
 *
 * @throws LeafmeshError `config_invalid` with all problems
 */
export function parseApplyFile(text: string, fileName: string): ApplyFile {
  const sources = parseSource(text, fileName);
  if (sources.some(({ value }) => isMap(value) && "site" in value)) {
    return { type: "site", site: readOne(SiteFile, sources, fileName) };
  }
  return { type: "tenants", tenants: readTenants(sources, fileName) };
}

/**
 * A file that holds one value of a schema.
 *
 * @throws LeafmeshError `config_invalid` with all problems
 */
export function parseLocated<T extends z.ZodType>(
  schema: T,
  text: string,
  fileName: string,
): Located<z.output<T>> {
  return readOne(schema, parseSource(text, fileName), fileName);
}

function readTenants(sources: readonly SourceDocument[], fileName: string): Located<TenantDocument>[] {
  if (sources.length === 0) throw invalidFile(fileName, [{ path: "", message: EMPTY }]);
  const problems: Problem[] = [];
  const tenants: Located<TenantDocument>[] = [];
  const seen = new Set<string>();
  for (const source of sources) {
    const read = check(TenantDocument, source);
    if (read.type === "problems") problems.push(...read.problems);
    else if (seen.has(read.value.tenant)) {
      const message = `tenant '${read.value.tenant}' has a document before this one: join them`;
      problems.push({ path: "tenant", message, ...placeOf(source, ["tenant"]) });
    } else {
      seen.add(read.value.tenant);
      tenants.push({ value: read.value, source });
    }
  }
  if (problems.length > 0) throw invalidFile(fileName, problems);
  return tenants;
}

function readOne<T extends z.ZodType>(
  schema: T,
  sources: readonly SourceDocument[],
  fileName: string,
): Located<z.output<T>> {
  const [source, second] = sources;
  if (source === undefined) throw invalidFile(fileName, [{ path: "", message: EMPTY }]);
  if (second !== undefined) {
    const message = "a second document starts here ('---'), expected one in this file";
    throw invalidFile(fileName, [{ path: "", message, ...placeOf(second, []) }]);
  }
  const read = check(schema, source);
  if (read.type === "problems") throw invalidFile(fileName, read.problems);
  return { value: read.value, source };
}

const EMPTY = "the file is empty, expected a map (`key: value` lines)";

type Checked<T> =
  | { readonly type: "value"; readonly value: T }
  | { readonly type: "problems"; readonly problems: readonly Problem[] };

function check<T extends z.ZodType>(schema: T, source: SourceDocument): Checked<z.output<T>> {
  if (!isMap(source.value)) {
    const kind = source.value === null ? "empty" : Array.isArray(source.value) ? "a list" : "a single value";
    const message = `the document is ${kind}, expected a map (\`key: value\` lines)`;
    return { type: "problems", problems: [{ path: "", message, ...placeOf(source, []) }] };
  }
  const parsed = schema.safeParse(source.value);
  if (parsed.success) return { type: "value", value: parsed.data };
  const problems = schemaProblems(schema, source.value, parsed.error).map(({ path, message, at }) => ({
    path: withoutSecrets(formatPath(path)),
    message,
    ...placeOf(source, path, at),
  }));
  return { type: "problems", problems: problems.sort(byPlace) };
}

function byPlace(left: Problem, right: Problem): number {
  return (left.line ?? 0) - (right.line ?? 0) || (left.column ?? 0) - (right.column ?? 0);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
