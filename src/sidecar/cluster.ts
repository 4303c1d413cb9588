/** A site of several servers: what the sidecar beside one of them makes of the settings. */
import { join } from "node:path";
import { clusteredState, type DesiredState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { ServerSettings } from "../model/schema/site.ts";
import { parseAddress } from "../nats/addresses.ts";
import { type ClusterInput, clusterPassword, renderClusterCredential } from "../nats/config_cluster.ts";
import type { ServerFile } from "../nats/config_links.ts";
import { DATA_FILES, type DataFolder } from "../nats/data_folder.ts";
import type { SiteKeys } from "../nats/keys.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";
import { sleep } from "../nats/wait.ts";
import type { Log } from "../observe/log.ts";

const DEFAULT_REPLICAS = 3;
const PLACE_EVERY_MS = 500;
const PLACE_WITHIN_MS = 300_000;

/** How many servers hold each stream of the site. */
export function replicasOf({ cluster }: ServerSettings): number {
  return cluster === undefined ? 1 : (cluster.replicas ?? DEFAULT_REPLICAS);
}

/** A state as the servers of these settings hold it, whatever was remembered of others. */
export function stateOn(
  settings: ServerSettings,
  { replicas: _, closed: __, ...state }: DesiredState,
): DesiredState {
  const tenants = state.tenants.map(({ replicas: _, ...tenant }) => tenant);
  return clusteredState({ ...state, tenants }, replicasOf(settings));
}

/** Hosts at which servers of the site reach each other, for the certificates of all of them. */
export function clusterHosts({ cluster }: ServerSettings): string[] {
  if (cluster === undefined) return [];
  return [...new Set(cluster.routes.map((route) => parseAddress(route).host))];
}

/** This server's place in the cluster, and the files that it needs for it; `null` where the site is one server. */
export function clusterInput(
  { cluster }: ServerSettings,
  {
    site,
    folder,
    keys,
    pki,
  }: { readonly site: string; readonly folder: DataFolder; readonly keys: SiteKeys; readonly pki: SitePki },
): { readonly cluster: ClusterInput; readonly files: readonly ServerFile[] } | null {
  if (cluster === undefined) return null;
  const caFile = join(folder.path, "keys", "cluster-ca.pem");
  const tls = { certFile: pki.linkFile, fingerprint: pki.link.fingerprint, caFile };
  const credential = renderClusterCredential(cluster.routes, clusterPassword(keys.mesh));
  return {
    cluster: {
      name: cluster.name ?? site,
      member: cluster.member,
      listen: cluster.listen,
      credential: DATA_FILES.clusterCredential,
      tls,
    },
    files: [
      { path: folder.file("clusterCredential"), content: credential },
      { path: caFile, content: pki.trustedPem },
    ],
  };
}

/** Whether a cluster may answer otherwise in a while: it has no leader yet, not all servers, or much to do. */
export function isPassing(error: unknown): boolean {
  return !(error instanceof LeafmeshError);
}

/**
 * Does the first thing that makes a stream, again until all servers that must hold it are there. @throws what it throws when
 * that takes too long, or the site is one server
 */
export async function whenPlaced<T>(
  settings: ServerSettings,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const until = performance.now() + PLACE_WITHIN_MS;
  for (let said = ""; ; ) {
    try {
      return await work();
    } catch (error) {
      const waits = settings.cluster !== undefined && isPassing(error);
      if (!waits || signal?.aborted === true || performance.now() > until) throw error;
      if (said !== errorText(error)) {
        said = errorText(error);
        log("info", "nats", `waits for the ${replicasOf(settings)} servers that hold each stream: ${said}`);
      }
      await sleep(PLACE_EVERY_MS, signal);
    }
  }
}
