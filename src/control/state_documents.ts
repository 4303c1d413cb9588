/** The documents of the state put together, as tenants of a site file and as the desired state, and taken from a site file. */
import { type DesiredState, desiredTenant, type RevokedPeer } from "../model/desired.ts";
import { isLeftOver, isOpen } from "../model/schema/invitation.ts";
import type { ImportPolicy } from "../model/schema/policy.ts";
import type { PeerDocument, SiteFile } from "../model/schema/site.ts";
import type { TenantDocument, TenantSettings } from "../model/schema/tenant.ts";
import { inlineSchema } from "../model/schema_files.ts";
import {
  type ResourceRef,
  type ResourceType,
  type ResourceValues,
  resourceKey,
  resourceLabel,
  type Versioned,
} from "./resource.ts";

/** A document of the state. */
export interface Stored {
  readonly ref: ResourceRef;
  readonly document: Versioned<ResourceValues[ResourceType]>;
}

/** The documents by key. */
export type Documents = Map<string, Stored>;

/** Where a document stands in the site file that the state amounts to. */
export function documentPath(ref: ResourceRef, documents: Documents): string {
  // These are in no site file.
  if (ref.type === "invitation" || ref.type === "revocation") return resourceLabel(ref);
  if (ref.type === "peer") {
    return `peers[${valuesOf(documents, "peer").findIndex((peer) => peer.name === ref.peer)}]`;
  }
  const tenants = tenantDocuments(documents);
  const index = tenants.findIndex((tenant) => tenant.tenant === ref.tenant);
  const tenant = `tenants[${index}]`;
  if (ref.type === "tenant") return tenant;
  if (ref.type === "schema") {
    return `${tenant}.schemas[${tenants[index]?.schemas?.findIndex(({ name }) => name === ref.name)}]`;
  }
  if (ref.type === "export" || ref.type === "shadow") {
    const place = tenants[index]?.exports?.findIndex((policy) => policy.name === ref.name);
    return `${tenant}.exports[${place}]`;
  }
  const origin = ref.origin ?? ref.from;
  const place = tenants[index]?.imports?.findIndex(
    (policy) => policy.from === ref.from && (policy.origin ?? policy.from) === origin,
  );
  return `${tenant}.imports[${place}]`;
}

/** A path inside the document that is written; one elsewhere stays as it is. */
export function relativePath(path: string, own: string): string {
  if (path === own) return "";
  return path.startsWith(`${own}.`) || path.startsWith(`${own}[`)
    ? path.slice(own.length).replace(/^\./, "")
    : path;
}

/** All documents of a type. */
export function valuesOf<T extends ResourceType>(documents: Documents, type: T): ResourceValues[T][] {
  return [...documents.values()]
    .filter(({ ref }) => ref.type === type)
    .map(({ document }) => document.value as ResourceValues[T]);
}

/** The tenants' documents in the shape of the site file, sorted by name. */
export function tenantDocuments(documents: ReadonlyMap<string, Stored>): TenantDocument[] {
  const sorted = [...documents.entries()]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, stored]) => stored);
  return sorted.flatMap(({ ref, document }) => {
    if (ref.type !== "tenant") return [];
    const policies = <T extends "schema" | "export" | "import">(type: T) =>
      sorted
        .filter((one) => one.ref.type === type && "tenant" in one.ref && one.ref.tenant === ref.tenant)
        .map((one) => one.document.value as ResourceValues[T]);
    return [
      {
        tenant: ref.tenant,
        ...(document.value as TenantSettings),
        ...(policies("schema").length === 0 ? {} : { schemas: policies("schema") }),
        exports: policies("export"),
        imports: policies("import"),
      },
    ];
  });
}

/** The desired state that the documents amount to. */
export function assemble(site: string, documents: Documents): DesiredState {
  const peers = valuesOf(documents, "peer").sort((left, right) => (left.name < right.name ? -1 : 1));
  const invitations = valuesOf(documents, "invitation")
    .filter(isOpen)
    .map(({ id, key }) => ({ id, key }))
    .sort((left, right) => (left.id < right.id ? -1 : 1));
  const shutOut = whoIsShutOut(documents);
  const revoked = peers.flatMap((peer) => shutOut(peer) ?? []);
  return {
    site,
    peers: peers.filter((peer) => shutOut(peer) === null).map(({ invited: _, ...peer }) => peer),
    ...(invitations.length === 0 ? {} : { invitations }),
    ...(revoked.length === 0 ? {} : { revoked }),
    tenants: tenantDocuments(documents).map(desiredTenant),
  };
}

/** Tells whether a peer's document lets nobody in: its key was revoked, or its invitation ended before its join was finished. */
function whoIsShutOut(documents: Documents): (peer: PeerDocument) => RevokedPeer | null {
  const revocations = new Map(valuesOf(documents, "revocation").map((one) => [one.key, one]));
  const invitations = new Map(valuesOf(documents, "invitation").map((one) => [one.id, one]));
  return (peer) => {
    const { name, key, nextKey = "", invited = "" } = peer;
    const revocation = revocations.get(key) ?? revocations.get(nextKey);
    if (revocation !== undefined) return { name, key: revocation.key, at: revocation.at, why: "revoked" };
    const invitation = invitations.get(invited);
    if (!isLeftOver(peer, invitation)) return null;
    const { state } = invitation ?? {};
    const at = state !== undefined && "at" in state ? state.at : new Date(0).toISOString();
    return { name, key, at, why: "join not finished" };
  };
}

/** The desired state that a site file describes. */
export function desiredOfFile(file: SiteFile): DesiredState {
  return {
    site: file.site,
    peers: [...(file.peers ?? [])].sort((left, right) => (left.name < right.name ? -1 : 1)),
    tenants: (file.tenants ?? []).map(desiredTenant).sort((left, right) => (left.name < right.name ? -1 : 1)),
  };
}

/** The documents of a site file, each after those that it belongs to. */
export function documentsOfFile(
  file: SiteFile,
): readonly { readonly ref: ResourceRef; readonly value: unknown }[] {
  const peers = (file.peers ?? []).map((peer) => ({
    ref: { type: "peer", peer: peer.name } as const,
    value: peer,
  }));
  const tenants = (file.tenants ?? []).flatMap(({ tenant, schemas, exports, imports, ...settings }) => [
    { ref: { type: "tenant", tenant } as const, value: settings },
    ...(schemas ?? []).map((schema) => ({
      ref: { type: "schema", tenant, name: schema.name } as const,
      value: inlineSchema(schema),
    })),
    ...(exports ?? []).map((policy) => ({
      ref: { type: "export", tenant, name: policy.name } as const,
      value: policy,
    })),
    ...(imports ?? []).map((policy) => ({ ref: importRef(tenant, policy), value: policy })),
  ]);
  return [...peers, ...tenants];
}

/** Whether a document goes when another one is removed, or is that one. */
export function belongsTo(ref: ResourceRef, owner: ResourceRef): boolean {
  if (resourceKey(ref) === resourceKey(owner)) return true;
  if (!("tenant" in ref) || ref.type === "tenant") return false;
  if (owner.type === "export") {
    return ref.type === "shadow" && ref.tenant === owner.tenant && ref.name === owner.name;
  }
  return owner.type === "tenant" && ref.tenant === owner.tenant;
}

/** The reference of an import as a tenant's document holds it. */
function importRef(tenant: string, policy: ImportPolicy): ResourceRef {
  const origin =
    policy.origin === undefined || policy.origin === policy.from ? {} : { origin: policy.origin };
  return { type: "import", tenant, from: policy.from, ...origin };
}
