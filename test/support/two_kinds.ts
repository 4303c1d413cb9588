/** Two tenants of one link: what acme publishes is shared through a view, what globex publishes natively. */
import { jetstream } from "@nats-io/jetstream";
import type { ExportPolicy } from "../../src/model/schema/policy.ts";
import type { SiteFile } from "../../src/model/schema/site.ts";
import type { TenantDocument } from "../../src/model/schema/tenant.ts";
import { type Mesh, type MeshSite, startMesh } from "./mesh.ts";
import { publishNumbers } from "./older_copy.ts";

export const TWO_KINDS = ["acme", "globex"] as const;
type Kind = "view" | "native";

/** What berlin shares of a tenant with austin: `<tenant>.orders.>`. */
function exported(tenant: string, kind: Kind): ExportPolicy {
  const seen = kind === "view" ? { headers: { set: { seen: "yes" } } } : {};
  return { name: "out", to: ["austin"], rules: [{ subjects: [`${tenant}.orders.>`], ...seen }] };
}

/** The tenants of `site`. */
export function twoKinds(site: string): TenantDocument[] {
  return TWO_KINDS.map((tenant) =>
    site === "berlin"
      ? { tenant, exports: [exported(tenant, tenant === "acme" ? "view" : "native")] }
      : { tenant, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] },
  );
}

/** Where an older copy is tested, and not what a disk takes: stores are not flushed for each event. */
export const quickly = (file: SiteFile): SiteFile => ({ ...file, server: { ...file.server, sync: "1s" } });

/** Starts the pair, and waits until its routes flow. */
export async function startTwoKinds() {
  const mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: twoKinds,
    edit: quickly,
  });
  await mesh.flowing();
  return { mesh, berlin: mesh.site("berlin"), austin: mesh.site("austin") };
}

/** Publishes numbers to both tenants of a site, one after the other. */
export async function publishBoth(site: MeshSite, from: number, to: number): Promise<void> {
  for (const tenant of TWO_KINDS) await publishNumbers(jetstream(await site.app(tenant)), tenant, from, to);
}

/** Moves routes from one stream to another. */
export async function changeKinds(mesh: Mesh, kinds: Readonly<Record<string, Kind>>): Promise<void> {
  await wantKinds(mesh, kinds);
  await mesh.flowing();
}

/** Has routes move as soon as their peer is there. */
export async function wantKinds(mesh: Mesh, kinds: Readonly<Record<string, Kind>>): Promise<void> {
  for (const [tenant, kind] of Object.entries(kinds)) {
    const { name, ...policy } = exported(tenant, kind);
    await mesh.site("berlin").put(`/v1/tenants/${tenant}/exports/${name}?wait=true`, policy);
  }
}
