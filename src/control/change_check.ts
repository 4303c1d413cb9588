/** What a change of a document is held against: what it belongs to, and the whole state that would result. */
import { formatProblem, LeafmeshError, type Problem } from "../model/errors.ts";
import { stateKey } from "../model/names.ts";
import { SchemaDocument } from "../model/schema/contract.ts";
import { InvitationDocument, RevocationDocument } from "../model/schema/invitation.ts";
import { CandidateRules, ExportPolicy, ImportPolicy } from "../model/schema/policy.ts";
import { type Peer, PeerDocument, type SiteFile } from "../model/schema/site.ts";
import { type TenantDocument, TenantSettings } from "../model/schema/tenant.ts";
import { judgeSchemaChange, newSchemaProblems } from "../policy/schema/change.ts";
import {
  type ResourceRef,
  type ResourceType,
  type ResourceValue,
  type ResourceValues,
  resourceKey,
  resourceLabel,
} from "./resource.ts";
import { type Documents, documentPath, relativePath, tenantDocuments, valuesOf } from "./state_documents.ts";
import { REFUSALS, refusedSchema, requireNotRevoked } from "./state_refusals.ts";

/** How each type of document is read. */
export const DOCUMENT_SCHEMAS = {
  peer: PeerDocument,
  invitation: InvitationDocument,
  revocation: RevocationDocument,
  tenant: TenantSettings,
  schema: SchemaDocument,
  export: ExportPolicy,
  import: ImportPolicy,
  shadow: CandidateRules,
} as const;

/** What is wrong with a whole state; empty: nothing. */
export type CheckState = (
  site: string,
  documents: readonly TenantDocument[],
  peers: readonly Peer[],
) => readonly Problem[];

/** Refuses changes of the documents of one site. */
export class ChangeCheck {
  readonly #site: string;
  readonly #check: CheckState;

  constructor(site: string, check: CheckState) {
    this.#site = site;
    this.#check = check;
  }

  /**
   * Refuses to write a document that is not valid, or leaves the state so.
   * @throws {LeafmeshError} `policy_invalid`, `config_invalid` or `conflict` with all problems, `schema_…`, `peer_revoked`,
   * `not_found` for a document that it belongs to
   */
  requirePut<R extends ResourceRef>(ref: R, value: ResourceValue<R>, documents: Documents): void {
    requireReadable(ref, value);
    // These say nothing about policies.
    if (ref.type === "invitation" || ref.type === "revocation") return;
    this.#requireOwner(ref, documents);
    if (ref.type === "peer") requireNotRevoked(value as Peer, documents);
    if (ref.type === "schema") this.#requireSchema(ref, value as SchemaDocument, documents);
    const { ref: checked, value: document } = this.#policyOf(ref, value, documents);
    const after = new Map(documents);
    after.set(resourceKey(checked), {
      ref: checked,
      document: { value: document, revision: 0, changedAt: "" },
    });
    this.#requireValid(checked, documents, after);
  }

  /** Refuses a removal that leaves the state invalid. @throws {LeafmeshError} as {@link requirePut} */
  requireRemoval(ref: ResourceRef, before: Documents, after: Documents): void {
    if (ref.type === "invitation" || ref.type === "revocation") return;
    this.#requireValid(ref, before, after);
  }

  /** Refuses a site file that is not valid. @throws {LeafmeshError} `config_invalid` with all problems */
  requireSeed({ tenants = [], peers = [] }: SiteFile): void {
    const problems = [
      ...this.#check(this.#site, tenants, peers),
      ...tenants.flatMap(({ schemas }, index) =>
        newSchemaProblems(schemas ?? [], `tenants[${index}].schemas`),
      ),
    ];
    if (problems.length > 0) {
      throw new LeafmeshError("config_invalid", "The site file is not valid", { problems });
    }
  }

  #requireOwner(ref: ResourceRef, documents: Documents): void {
    if (!("tenant" in ref) || ref.type === "tenant") return;
    if (!documents.has(stateKey.tenant(ref.tenant))) {
      throw new LeafmeshError("not_found", `There is no tenant ${ref.tenant}`);
    }
    if (ref.type === "shadow" && !documents.has(stateKey.exportPolicy(ref.tenant, ref.name))) {
      throw new LeafmeshError("not_found", `There is no export ${ref.tenant}/${ref.name}`);
    }
  }

  /** What is checked of a document: a shadow is held to what the export would be with its rules. */
  #policyOf(ref: ResourceRef, value: ResourceValues[ResourceType], documents: Documents) {
    if (ref.type !== "shadow") return { ref, value };
    const { tenant, name } = ref;
    const policy = { type: "export", tenant, name } as const;
    return { ref: policy, value: { ...documentValue(policy, documents), ...value } as ExportPolicy };
  }

  #requireSchema(
    ref: Extract<ResourceRef, { type: "schema" }>,
    value: SchemaDocument,
    documents: Documents,
  ): void {
    const change = judgeSchemaChange(documentValue(ref, documents) ?? null, value);
    if (change.type !== "allowed") throw refusedSchema(resourceLabel(ref), change);
  }

  #requireValid(ref: ResourceRef, before: Documents, after: Documents): void {
    const problems = [...this.#problemsOf(after)];
    // What a shadow names goes no more than what a rule names.
    if (ref.type === "schema" && problems.length === 0) {
      const known = new Set(
        this.#shadowProblems(ref.tenant, before).map((problem) => formatProblem(problem)),
      );
      const broken = this.#shadowProblems(ref.tenant, after);
      problems.push(...broken.filter((problem) => !known.has(formatProblem(problem))));
    }
    if (problems.length === 0) return;
    const own = documentPath(ref, after);
    const located = problems.map((problem) => ({ ...problem, path: relativePath(problem.path, own) }));
    const text = located.map((problem) => formatProblem(problem)).join("; ");
    const code = REFUSALS[ref.type];
    throw new LeafmeshError(code, `${resourceLabel(ref)} cannot be changed so: ${text}`, {
      problems: located,
    });
  }

  #problemsOf(documents: Documents): readonly Problem[] {
    return this.#check(this.#site, tenantDocuments(documents), valuesOf(documents, "peer"));
  }

  /** What is wrong with the shadows of a tenant, each in the place of its export's rules. */
  #shadowProblems(tenant: string, documents: Documents): Problem[] {
    return [...documents.values()].flatMap(({ ref, document }) => {
      if (ref.type !== "shadow" || ref.tenant !== tenant) return [];
      const key = stateKey.exportPolicy(tenant, ref.name);
      const policy = documents.get(key);
      if (policy === undefined) return [];
      const value = { ...policy.document.value, ...document.value } as ExportPolicy;
      const tried = new Map(documents).set(key, { ...policy, document: { ...policy.document, value } });
      return this.#problemsOf(tried).map(({ message, ...problem }) => ({
        ...problem,
        message: `${message} (shadow of export ${tenant}/${ref.name})`,
      }));
    });
  }
}

/** What a document holds; `undefined`: it is not there. */
function documentValue<R extends ResourceRef>(ref: R, documents: Documents): ResourceValue<R> | undefined {
  return documents.get(resourceKey(ref))?.document.value as ResourceValue<R> | undefined;
}

/**
 * What another site has said must not get in where the next start cannot read it.
 * @throws {LeafmeshError} `config_invalid`
 */
function requireReadable(ref: ResourceRef, value: unknown): void {
  if (ref.type !== "peer" && ref.type !== "invitation" && ref.type !== "revocation") return;
  const { error } = DOCUMENT_SCHEMAS[ref.type].safeParse(value);
  if (error === undefined) return;
  const problems = error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  const text = problems.map((problem) => formatProblem(problem)).join("; ");
  throw new LeafmeshError(REFUSALS[ref.type], `${resourceLabel(ref)} is not valid: ${text}`, { problems });
}
