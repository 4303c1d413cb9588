/** Sites that are not peers yet, and what tests of joining ask of them. */
import type { Invited, JoinReport } from "../../src/control/join_api.ts";
import type { Peer, SiteFile } from "../../src/model/schema/site.ts";
import { type Mesh, type MeshSite, startMesh } from "./mesh.ts";
import { waitFor } from "./wait_for.ts";

/** A problem document's code and words. */
export interface Refused {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

/** Starts sites without links. */
export async function startStrangers(
  names: readonly string[],
  edit?: (file: SiteFile) => SiteFile,
): Promise<Mesh> {
  return await startMesh({
    sites: Object.fromEntries(names.map((name) => [name, []])),
    tenants: () => [{ tenant: "acme" }],
    ...(edit === undefined ? {} : { edit }),
  });
}

export async function post<T>(site: MeshSite, path: string, body?: unknown): Promise<T> {
  const response = await site.api("POST", path, body);
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** An invitation of `site` for another. */
export async function invite(site: MeshSite, who: string, more: object = {}): Promise<Invited> {
  return await post<Invited>(site, "/v1/invitations", { site: who, ...more });
}

export async function join(site: MeshSite, token: string, more: object = {}): Promise<JoinReport> {
  return await post<JoinReport>(site, "/v1/joins", { token, ...more });
}

/** How a join is refused. @throws when it is taken */
export async function refused(site: MeshSite, token: string, more: object = {}): Promise<Refused> {
  const response = await site.api("POST", "/v1/joins", { token, ...more });
  if (response.ok) throw new Error(`The join was taken: ${await response.text()}`);
  return { status: response.status, ...((await response.json()) as { code: string; detail: string }) };
}

export async function peersOf(site: MeshSite): Promise<readonly Peer[]> {
  return (await site.json<{ items: { value: Peer }[] }>("/v1/peers")).items.map(({ value }) => value);
}

/** Waits until `site` has a verified link with `peer`. */
export async function linked(site: MeshSite, peer: string): Promise<void> {
  await waitFor(
    async () =>
      (await site.links()).some((one) => one.peer === peer && one.connected && one.verified === "yes"),
    { deadlineMs: 30_000, what: `the link of ${site.name} with ${peer}` },
  );
}
