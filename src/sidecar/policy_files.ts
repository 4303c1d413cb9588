/** The policies of a file that somebody wants to try: a site file, tenants' documents, or one export policy. */
import { checkSiteFile } from "../control/check_state.ts";
import { withSchemaFiles, withTenantSchemas } from "../control/schema_files.ts";
import { LeafmeshError, type Problem } from "../model/errors.ts";
import type { SchemaDocument } from "../model/schema/contract.ts";
import { type ExportPolicy, NamedElsewhereExport } from "../model/schema/policy.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { inlineSchema } from "../model/schema_files.ts";
import { locateProblems, parseApplyFile, parseLocated, type SourceDocument } from "../model/site_file.ts";
import { parseSource } from "../model/source.ts";
import { checkTenant } from "../policy/check.ts";
import { newSchemaProblems } from "../policy/schema/change.ts";

/** One export policy and whose it is. */
export interface FoundPolicy {
  readonly tenant: string;
  /** The site it stands in; `null` where the file does not say. */
  readonly site: string | null;
  readonly policy: ExportPolicy;
  /** The tenant's schemas; none where the file is the policy alone. */
  readonly schemas: readonly SchemaDocument[];
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
    const { file: read, problems: unread } = withSchemaFiles(value, fileName);
    refuse(fileName, locateProblems(source, unread));
    const { site, tenants = [] } = read;
    refuse(fileName, locateProblems(source, checkSiteFile(read)));
    return tenants.flatMap((tenant) => policiesOf(tenant, site));
  }
  const tenants = file.tenants.map(({ value, source }) => {
    const read = withTenantSchemas(value, fileName);
    refuse(fileName, locateProblems(source, read.problems));
    return { value: read.tenant, source };
  });
  const problems = tenants.flatMap(({ value, source }) => tenantProblems(value, source));
  refuse(fileName, problems);
  return tenants.flatMap(({ value }) => policiesOf(value, null));
}

function readExport(text: string, fileName: string): FoundPolicy {
  const { value, source } = parseLocated(NamedElsewhereExport, text, fileName);
  const policy = { ...value, name: value.name ?? UNNAMED };
  const tenant = policy.rules[0]?.subjects[0]?.split(".")[0] ?? "";
  // Where the events come from is the tenant's business, and its document is not here.
  const { origin: _origin, ...own } = policy;
  const problems = checkAlone({ tenant, exports: [own] })
    .filter(({ path }) => !path.endsWith(".schema"))
    .map((one) => ({ ...one, path: one.path.replace(/^exports\[0\]\.?/, "") }));
  for (const [index, { schema }] of policy.rules.entries()) {
    if (schema === undefined) continue;
    const message = `'${schema}' is a schema of the tenant: name the tenant's document, not the policy alone`;
    problems.push({ path: `rules[${index}].schema`, message });
  }
  refuse(fileName, locateProblems(source, problems));
  return { tenant, site: null, policy, schemas: [] };
}

function tenantProblems(tenant: TenantDocument, source: SourceDocument): Problem[] {
  const schemas = newSchemaProblems(tenant.schemas ?? [], "schemas");
  return locateProblems(source, [...checkAlone(tenant), ...schemas]);
}

/** Stands for the site that a tenant's document does not know. */
const SOME_SITE = "this site";

/** Checks a tenant without its site: whom it names is taken for a peer. */
function checkAlone(tenant: TenantDocument): Problem[] {
  const peers = [
    ...(tenant.exports ?? []).flatMap(({ to }) => to),
    ...(tenant.imports ?? []).map(({ from }) => from),
  ];
  return checkTenant(SOME_SITE, tenant, peers);
}

function policiesOf(
  { tenant, schemas = [], exports = [] }: TenantDocument,
  site: string | null,
): FoundPolicy[] {
  return exports.map((policy) => ({ tenant, site, policy, schemas: schemas.map(inlineSchema) }));
}

function refuse(fileName: string, problems: readonly Problem[]): void {
  if (problems.length === 0) return;
  throw new LeafmeshError("config_invalid", `${fileName} is not valid`, { problems });
}
