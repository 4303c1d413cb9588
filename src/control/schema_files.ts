/** A site file with the schemas that stand in files of their own, relative to it. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Problem } from "../model/errors.ts";
import type { SiteFile } from "../model/schema/site.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { inlineSchemaFiles, type ReadNamedFile } from "../model/schema_files.ts";

/** Reads the schema files of a site file; problems have the paths of the site file. */
export function withSchemaFiles(
  file: SiteFile,
  path: string,
  read: ReadNamedFile = besides(path),
): { readonly file: SiteFile; readonly problems: readonly Problem[] } {
  if (file.tenants === undefined) return { file, problems: [] };
  const { tenants, problems } = inlineSchemaFiles(file.tenants, read);
  return {
    file: { ...file, tenants },
    problems: problems.map((problem) => ({ ...problem, path: `tenants${problem.path}` })),
  };
}

/** The same for one tenant's document; problems have the paths of that document. */
export function withTenantSchemas(
  tenant: TenantDocument,
  path: string,
  read: ReadNamedFile = besides(path),
): { readonly tenant: TenantDocument; readonly problems: readonly Problem[] } {
  const { tenants, problems } = inlineSchemaFiles([tenant], read);
  return {
    tenant: tenants[0] ?? tenant,
    problems: problems.map((problem) => ({ ...problem, path: problem.path.replace("[0].", "") })),
  };
}

function besides(path: string): ReadNamedFile {
  return (name) => readFileSync(resolve(dirname(path), name), "utf8");
}
