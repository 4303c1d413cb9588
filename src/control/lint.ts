/** Lint of site files, one or a whole mesh: what each site refuses by itself, and what their files say together. */
import { LeafmeshError, type Problem } from "../model/errors.ts";
import { type Finding, type LintReport, lintReport } from "../model/finding.ts";
import { LINT_CODES } from "../model/lint_codes.ts";
import { parsePath } from "../model/problem_path.ts";
import type { SiteFile } from "../model/schema/site.ts";
import type { ReadNamedFile } from "../model/schema_files.ts";
import { type ApplyFile, locateProblems, parseApplyFile, placeInSource } from "../model/site_file.ts";
import { checkRules } from "../policy/check_rules.ts";
import { type LintedSite, lintMesh } from "../policy/lint/mod.ts";
import { newSchemaProblems } from "../policy/schema/change.ts";
import { tenantSchemaProblems } from "../policy/schema/registry.ts";
import { checkSiteFile, checkState } from "./check_state.ts";
import { withSchemaFiles, withTenantSchemas } from "./schema_files.ts";

/** A file to lint. */
export interface LintFile {
  readonly name: string;
  readonly text: string;
}

/**
 * Lints files of sites and of tenants: each by itself, and all sites together. Never throws for what a file holds.
 *
 * @param read reads the schema files that they name; default: those beside the file on disk
 */
export function lintFiles(files: readonly LintFile[], read?: ReadNamedFile): LintReport {
  const own: Finding[] = [];
  const sites: LintedSite[] = [];
  for (const { name, text } of files) {
    const parsed = readFile(name, text);
    if (parsed.type === "problems") own.push(...parsed.problems.map((problem) => findingOf(problem, name)));
    else if (parsed.type === "tenants") own.push(...lintTenants(name, parsed, read));
    else {
      const { source } = parsed.site;
      const { file: value, problems: unread } = withSchemaFiles(parsed.site.value, name, read);
      const problems = unread.length > 0 ? unread : checkSiteFile(value);
      own.push(...locateProblems(source, problems).map((problem) => findingOf(problem, name)));
      sites.push({ file: name, value, placeOf: (path) => placeInSource(source, parsePath(path)) });
    }
  }
  return report(
    files.map(({ name }) => name),
    own,
    sites,
  );
}

/** Lints a text that somebody has sent. Paths in it are the sender's: no file of this machine is read for them. */
export function lintText(file: LintFile): LintReport {
  return lintFiles([file], () => {
    throw new Error("a text that is sent names no files, give the JSON Schema itself as 'schema'");
  });
}

/** Lints a state that has no text: places are paths alone. */
export function lintSite(value: SiteFile, name: string): LintReport {
  const found = checkState(value.site, value.tenants ?? [], value.peers ?? [], undefined, value);
  const own = found.map((problem) => findingOf(problem, name));
  return report([name], own, [{ file: name, value, placeOf: () => null }]);
}

/** Lints what one tenant has in a state, as if no other were. */
export function lintTenant(value: SiteFile, name: string, tenant: string): LintReport {
  const tenants = (value.tenants ?? []).filter((one) => one.tenant === tenant);
  const { findings } = lintSite({ ...value, tenants }, name);
  return lintReport(
    [name],
    findings.filter(({ path }) => path.startsWith("tenants[")),
  );
}

function report(names: readonly string[], own: readonly Finding[], sites: readonly LintedSite[]): LintReport {
  const together = lintMesh(sites);
  return lintReport(names, [...own.filter((one) => !isToldBetter(one, together)), ...together]);
}

type Read = ApplyFile | { readonly type: "problems"; readonly problems: readonly Problem[] };

function readFile(name: string, text: string): Read {
  try {
    return parseApplyFile(text, name);
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "config_invalid") {
      return { type: "problems", problems: thrown.problems };
    }
    throw thrown;
  }
}

/** Tenants' documents know neither site nor peers: only their rules can be checked. */
function lintTenants(
  name: string,
  { tenants }: Extract<ApplyFile, { type: "tenants" }>,
  read?: ReadNamedFile,
): Finding[] {
  return tenants.flatMap(({ value, source }) => {
    const { tenant, problems: unread } = withTenantSchemas(value, name, read);
    const { exports = [], schemas = [] } = tenant;
    const problems = [
      ...exports.flatMap((policy, index) => checkRules(policy, `exports[${index}]`)),
      ...tenantSchemaProblems(tenant),
      ...(unread.length > 0 ? unread : newSchemaProblems(schemas, "schemas")),
    ];
    return locateProblems(source, problems).map((problem) => findingOf(problem, name));
  });
}

function findingOf({ code = "invalid", message, path, ...place }: Problem, file: string): Finding {
  return { code, severity: LINT_CODES[code].severity, message, file, path, ...place, related: [] };
}

/** A site alone sees one end of a loop or of a second way; where the mesh shows all of it, that is what is told. */
function isToldBetter(finding: Finding, together: readonly Finding[]): boolean {
  if (finding.code !== "loop" && finding.code !== "two-paths") return false;
  const policy = policyPath(finding.path);
  return together.some(
    (one) =>
      (one.code === "loop" || one.code === "two-paths") &&
      [one, ...one.related].some(({ file, path }) => file === finding.file && policyPath(path) === policy),
  );
}

/** The export or import that a path is in. */
function policyPath(path: string): string {
  return /^tenants\[\d+\]\.(?:exports|imports)\[\d+\]/.exec(path)?.[0] ?? path;
}
