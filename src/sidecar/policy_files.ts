/** The policies of a file that somebody wants to try: a site file, tenants' documents, or one export policy. */
import { checkState } from "../control/check_state.ts";
import { LeafmeshError, type Problem } from "../model/errors.ts";
import { type ExportPolicy, NamedElsewhereExport } from "../model/schema/policy.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { locateProblems, parseApplyFile, parseLocated, type SourceDocument } from "../model/site_file.ts";
import { parseSource } from "../model/source.ts";
import { checkRules } from "../policy/check_rules.ts";

/** One export policy and whose it is. */
export interface FoundPolicy {
  readonly tenant: string;
  /** The site it stands in; `null` where the file does not say. */
  readonly site: string | null;
  readonly policy: ExportPolicy;
}

/** Name of an export policy whose file has none. */
const UNNAMED = "policy";

/**
 * Reads the policies of a file and checks them.
 * @throws LeafmeshError `config_invalid` with all problems and their places
 */
export function readPolicies(text: string, fileName: string): FoundPolicy[] {
  const sources = parseSource(text, fileName);
  if (sources.some(({ value }) => typeof value === "object" && value !== null && "rules" in value)) {
    return [readExport(text, fileName)];
  }
  const file = parseApplyFile(text, fileName);
  if (file.type === "site") {
    const { value, source } = file.site;
    const { site, tenants = [], peers = [] } = value;
    refuse(fileName, locateProblems(source, checkState(site, tenants, peers)));
    return tenants.flatMap((tenant) => policiesOf(tenant, site));
  }
  const problems = file.tenants.flatMap(({ value, source }) => tenantProblems(value, source));
  refuse(fileName, problems);
  return file.tenants.flatMap(({ value }) => policiesOf(value, null));
}

function readExport(text: string, fileName: string): FoundPolicy {
  const { value, source } = parseLocated(NamedElsewhereExport, text, fileName);
  const policy = { ...value, name: value.name ?? UNNAMED };
  const problems = checkRules(policy, "").map((one) => ({ ...one, path: one.path.replace(/^\./, "") }));
  refuse(fileName, locateProblems(source, problems));
  const tenant = policy.rules[0]?.subjects[0]?.split(".")[0] ?? "";
  return { tenant, site: null, policy };
}

/** A tenant's document knows neither site nor peers: its rules alone are checked. */
function tenantProblems(tenant: TenantDocument, source: SourceDocument): Problem[] {
  return (tenant.exports ?? []).flatMap((policy, index) =>
    locateProblems(source, checkRules(policy, `exports[${index}]`)),
  );
}

function policiesOf({ tenant, exports = [] }: TenantDocument, site: string | null): FoundPolicy[] {
  return exports.map((policy) => ({ tenant, site, policy }));
}

function refuse(fileName: string, problems: readonly Problem[]): void {
  if (problems.length === 0) return;
  throw new LeafmeshError("config_invalid", `${fileName} is not valid`, { problems });
}
