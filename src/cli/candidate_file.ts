/** The rules of a candidate, from a file of one export, of tenants or of a site. */
import { LeafmeshError } from "../model/errors.ts";
import type { Rule } from "../model/schema/policy.ts";
import { NamedElsewhereExport } from "../model/schema/policy.ts";
import { parseApplyFile, parseLocated } from "../model/site_file.ts";
import { parseSource } from "../model/source.ts";

export interface CandidateFile {
  readonly tenant: string;
  readonly name: string;
  readonly rules: readonly Rule[];
}

interface Wanted {
  readonly tenant: string | undefined;
  readonly name: string | undefined;
}

/**
 * Finds the candidate in a file; what the command line says wins.
 * @throws LeafmeshError `config_invalid` with all problems; `request_invalid` when the file leaves open which export is meant
 */
export function readCandidate(text: string, path: string, wanted: Wanted): CandidateFile {
  const sources = parseSource(text, path);
  if (sources.some(({ value }) => typeof value === "object" && value !== null && "rules" in value)) {
    const { name, rules } = parseLocated(NamedElsewhereExport, text, path).value;
    // The first token of a subject is the tenant.
    const tenant = wanted.tenant ?? rules[0]?.subjects[0]?.split(".")[0] ?? "";
    return { tenant, name: wanted.name ?? name ?? missing(`${path} has no 'name'`), rules };
  }
  const file = parseApplyFile(text, path);
  const tenants =
    file.type === "site" ? (file.site.value.tenants ?? []) : file.tenants.map((one) => one.value);
  const found = tenants
    .filter(({ tenant }) => wanted.tenant === undefined || tenant === wanted.tenant)
    .flatMap(({ tenant, exports = [] }) => exports.map(({ name, rules }) => ({ tenant, name, rules })))
    .filter(({ name }) => wanted.name === undefined || name === wanted.name);
  const [only, second] = found;
  if (only !== undefined && second === undefined) return only;
  const names = found.map(({ tenant, name }) => `${tenant}/${name}`).join(", ");
  return missing(found.length === 0 ? `${path} has no such export` : `${path} has the exports ${names}`);
}

function missing(why: string): never {
  throw new LeafmeshError("request_invalid", `${why}: say which one with --tenant and --export`);
}
