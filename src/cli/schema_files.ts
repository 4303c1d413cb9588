/** Schemas that a file to apply names by file, put in their places. */
import { dirname, isAbsolute, join } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { inlineSchemaFiles, schemaFilesOf } from "../model/schema_files.ts";
import { type ApplyFile, locateProblems } from "../model/site_file.ts";
import { invalidFile } from "../model/source.ts";
import type { Effects } from "./effects.ts";

/** Reads the files that schemas stand in, relative to the file that names them. @throws LeafmeshError `config_invalid` */
export async function withSchemaFiles(
  file: ApplyFile,
  path: string,
  effects: Pick<Effects, "readFile">,
): Promise<ApplyFile> {
  const tenants =
    file.type === "site" ? (file.site.value.tenants ?? []) : file.tenants.map(({ value }) => value);
  const texts = new Map<string, string>();
  for (const name of schemaFilesOf(tenants)) {
    const at = isAbsolute(name) ? name : join(dirname(path), name);
    const bytes = await effects.readFile(at).catch(() => null);
    if (bytes !== null) texts.set(name, new TextDecoder().decode(bytes));
  }
  const read = (name: string): string => {
    const text = texts.get(name);
    if (text === undefined) throw new LeafmeshError("not_found", "there is no such file");
    return text;
  };
  if (file.type === "site") {
    const { value, source } = file.site;
    const inlined = inlineSchemaFiles(tenants, read);
    const problems = inlined.problems.map((one) => ({ ...one, path: `tenants${one.path}` }));
    if (problems.length > 0) throw invalidFile(path, locateProblems(source, problems));
    const site = value.tenants === undefined ? value : { ...value, tenants: inlined.tenants };
    return { type: "site", site: { value: site, source } };
  }
  const all = file.tenants.map(({ value, source }) => {
    const inlined = inlineSchemaFiles([value], read);
    const problems = inlined.problems.map((one) => ({ ...one, path: one.path.replace("[0].", "") }));
    if (problems.length > 0) throw invalidFile(path, locateProblems(source, problems));
    const [tenant = value]: readonly TenantDocument[] = inlined.tenants;
    return { value: tenant, source };
  });
  return { type: "tenants", tenants: all };
}
