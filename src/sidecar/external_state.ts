/**
 * What is in force at a server that somebody else runs, where another member of the site may have led with a data folder of its own:
 * what this one remembers may be old.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Remembered } from "../control/remembered.ts";
import { isBehindCopy } from "../control/rollback/state_copy.ts";
import { KvStateStore } from "../control/state_store.ts";
import { ControlConnection } from "../nats/control_connection.ts";
import { isUnserved } from "../nats/jetstream_errors.ts";
import type { SiteKeys } from "../nats/keys.ts";
import { retiredTenants } from "../nats/system_api.ts";

export interface InForce {
  /** `null`: nobody has led yet, or this member was the last one. */
  readonly remembered: Remembered | null;
  /** Where the server keeps its streams: it takes no other place without a restart. `null`: it has none yet. */
  readonly store: string | null;
}

/** Of the folder that nats-server makes in its store. */
const OWN_FOLDER = /\/jetstream\/?$/;

/**
 * Asks the server.
 * @returns `null`: it is not there, or does not know this site
 * @throws when it knows the site, and its state cannot be read now: it must not be taken back to an older one
 */
export async function readInForce(
  site: string,
  server: string,
  keys: SiteKeys,
  dataFolder: string,
): Promise<InForce | null> {
  const connection = await ControlConnection.open({ site, server, keys }).catch(() => null);
  if (connection === null) return null;
  await using held = connection;
  const { mesh, system } = held;
  const info = await system.varz().catch(() => null);
  if (info === null) return null;
  const store = info.jetstream?.config?.store_dir?.replace(OWN_FOLDER, "") ?? null;
  const jsm = await jetstreamManager(mesh, { checkAPI: false });
  try {
    if (await isBehindCopy(dataFolder, jsm)) return { remembered: null, store };
    const state = await KvStateStore.read(jetstream(mesh), site);
    if (state === null) return { remembered: null, store };
    const tenants = state.tenants.map(({ name }) => name);
    return { remembered: { state, retired: retiredTenants(await system.accounts(), tenants) }, store };
  } catch (error) {
    if (isUnserved(error)) return { remembered: null, store };
    throw error;
  }
}
