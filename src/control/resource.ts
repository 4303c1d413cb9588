/** The documents of the desired state: what they are called, where they are kept, what they hold. */
import { stateKey } from "../model/names.ts";
import type { SchemaDocument } from "../model/schema/contract.ts";
import type { InvitationDocument, RevocationDocument } from "../model/schema/invitation.ts";
import type { CandidateRules, ExportPolicy, ImportPolicy } from "../model/schema/policy.ts";
import type { PeerDocument } from "../model/schema/site.ts";
import type { TenantSettings } from "../model/schema/tenant.ts";

/** Which document. An import is told apart by the peer and, for transit, by the origin that comes through it. */
export type ResourceRef =
  | { readonly type: "peer"; readonly peer: string }
  | { readonly type: "invitation"; readonly id: string }
  | { readonly type: "revocation"; readonly key: string }
  | { readonly type: "tenant"; readonly tenant: string }
  | { readonly type: "schema"; readonly tenant: string; readonly name: string }
  | { readonly type: "export"; readonly tenant: string; readonly name: string }
  /** The rules that are tried beside those of an export. */
  | { readonly type: "shadow"; readonly tenant: string; readonly name: string }
  | { readonly type: "import"; readonly tenant: string; readonly from: string; readonly origin?: string };

/** What each type of document holds. */
export interface ResourceValues {
  readonly peer: PeerDocument;
  readonly invitation: InvitationDocument;
  readonly revocation: RevocationDocument;
  readonly tenant: TenantSettings;
  readonly schema: SchemaDocument;
  readonly export: ExportPolicy;
  readonly import: ImportPolicy;
  readonly shadow: CandidateRules;
}
export type ResourceType = keyof ResourceValues;
export type ResourceValue<R extends ResourceRef> = ResourceValues[R["type"]];

/** A document with the revision that `If-Match` names. */
export interface Versioned<T> {
  readonly value: T;
  /** Revision of this document in the state bucket, 1 and up. */
  readonly revision: number;
  /** When it was written, RFC 3339, by the server's clock. */
  readonly changedAt: string;
}

/** The key of a document in the state bucket. */
export function resourceKey(ref: ResourceRef): string {
  switch (ref.type) {
    case "peer":
      return stateKey.peer(ref.peer);
    case "invitation":
      return stateKey.invitation(ref.id);
    case "revocation":
      return stateKey.revocation(ref.key);
    case "tenant":
      return stateKey.tenant(ref.tenant);
    case "schema":
      return stateKey.schema(ref.tenant, ref.name);
    case "export":
      return stateKey.exportPolicy(ref.tenant, ref.name);
    case "shadow":
      return stateKey.shadow(ref.tenant, ref.name);
    case "import":
      return stateKey.importFrom(ref.tenant, ref.from, ref.origin ?? ref.from);
  }
}

/** The document that a key names; `null` for keys of other kinds. */
export function parseResourceKey(key: string): ResourceRef | null {
  const [type, first, second, third] = key.split(".");
  if (first === undefined) return null;
  if (type === "peer") return { type, peer: first };
  if (type === "invitation") return { type, id: first };
  if (type === "revocation") return { type, key: first };
  if (type === "tenant") return { type, tenant: first };
  if (second === undefined) return null;
  if (type === "export" || type === "shadow" || type === "schema")
    return { type, tenant: first, name: second };
  if (type !== "import" || third === undefined) return null;
  return { type, tenant: first, from: second, ...(third === second ? {} : { origin: third }) };
}

/** A document as messages name it: `export acme/eu-orders`. */
export function resourceLabel(ref: ResourceRef): string {
  switch (ref.type) {
    case "peer":
      return `peer ${ref.peer}`;
    case "invitation":
      return `invitation ${ref.id}`;
    case "revocation":
      return `revocation of ${ref.key}`;
    case "tenant":
      return `tenant ${ref.tenant}`;
    case "schema":
      return `schema ${ref.tenant}/${ref.name}`;
    case "export":
      return `export ${ref.tenant}/${ref.name}`;
    case "shadow":
      return `shadow of export ${ref.tenant}/${ref.name}`;
    case "import":
      return `import ${ref.tenant}/${ref.from}${ref.origin === undefined ? "" : ` (origin ${ref.origin})`}`;
  }
}
