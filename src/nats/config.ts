/** Renders the whole configuration of a site's nats-server from the desired state. Pure: same input, same text. */
import type { DesiredState } from "../model/desired.ts";
import { type LinkCompression, linkedState } from "../model/links.ts";
import { SYSTEM_ACCOUNT } from "../model/names.ts";
import { renderAccounts } from "./config_accounts.ts";
import { type ClusterInput, renderCluster, serverName } from "./config_cluster.ts";
import { type LinkTls, renderLeafnodes } from "./config_links.ts";
import { type ConfMap, renderFields } from "./config_text.ts";
import type { PublicSiteKeys, SigningKey } from "./keys.ts";

/** What the server's store promises in all: the sum over streams is bounded by each stream's own limit, not here. */
const JETSTREAM_MAX_FILE = 256 * 1024 ** 4;
const JETSTREAM_MAX_MEMORY = 1024 ** 4;
const LEAST_MAX_PAYLOAD = 1024 ** 2;
/** Above the largest event: headers that the sidecar adds to views and dead letters. */
const PAYLOAD_HEADROOM = 256 * 1024;
const LOG_FILE_BYTES = 16 * 1024 ** 2;
const LOG_FILES = 4;
/** First line of a configuration with which nothing may flow yet. */
const CLOSED_MARK = "# Closed until the sidecar has looked at the store.\n";

/** Places that the configuration names. All but the credential are absolute or relative to the server's folder. */
export interface ServerPaths {
  readonly store: string;
  readonly log: string;
  /** The file of {@link renderLeafCredential}, relative to the configuration file. */
  readonly leafCredential: string;
  /** The file with cipher and key of an encrypted store, relative to the configuration file. */
  readonly storeKey?: string;
}

export interface ConfigInput {
  readonly desired: DesiredState;
  readonly keys: PublicSiteKeys;
  /** `host:port` for apps and for peers; ports are real ones, not 0. */
  readonly listen: string;
  readonly leaf: string;
  /** For clients of MQTT and WebSocket; neither has TLS. */
  readonly mqtt?: string | undefined;
  readonly websocket?: string | undefined;
  /** When the store is flushed: at every event, or at this interval in milliseconds. */
  readonly sync: "always" | number;
  readonly paths: ServerPaths;
  readonly compression: LinkCompression;
  /** Certificates of the links; without them links are plain. */
  readonly tls?: LinkTls | undefined;
  /** This server's place among those of its site, where there are several. */
  readonly cluster?: ClusterInput | undefined;
  /**
   * Tenants that are gone but whose account the running server still has. A JetStream account must not be dropped and
   * added again by reload, so it stays, without users and borders, until the next start.
   */
  readonly retiredTenants: readonly string[];
}

/** The text of `nats.conf` for a server that the sidecar runs. Holds public keys only. */
export function renderConfig(input: ConfigInput): string {
  const { desired } = input;
  const mark = desired.quiet === true || desired.closed === true ? CLOSED_MARK : "";
  return `${mark}# Written by Leafmesh for site ${desired.site}. Changes made here are lost.\n${renderFields({
    server_name: serverName(desired.site, input.cluster?.member),
    listen: input.listen,
    log_file: input.paths.log,
    logfile_size_limit: LOG_FILE_BYTES,
    logfile_max_num: LOG_FILES,
    logtime_utc: true,
    max_payload: maxPayloadBytes(desired),
    ping_interval: "20s",
    mqtt: input.mqtt === undefined ? undefined : { listen: input.mqtt },
    websocket: input.websocket === undefined ? undefined : { listen: input.websocket, no_tls: true },
    ...requiredFields(input),
  })}`;
}

/** Whether a text of {@link renderConfig} is that of a state that is quiet or closed. */
export function isClosedConfig(text: string | null): boolean {
  return text?.startsWith(CLOSED_MARK) === true;
}

/**
 * The fragment that the configuration of an external server must hold: accounts, leaf links, JetStream's domain. Its
 * owner adds ports, logging and limits.
 */
export function renderFragment(input: ConfigInput): string {
  return `# Written by Leafmesh for site ${input.desired.site}: include it at the top level of nats-server's configuration.\n${renderFields(
    requiredFields(input),
  )}`;
}

/** The file with our half of every leaf link's credential. Secret: mode 0600, included and never logged. */
export function renderLeafCredential(site: SigningKey): string {
  return `nkey: "${new TextDecoder().decode(site.seed())}"\n`;
}

/** The largest message that the server takes, in bytes. */
export function maxPayloadBytes(desired: DesiredState): number {
  const largest = Math.max(LEAST_MAX_PAYLOAD, ...desired.tenants.map((tenant) => tenant.limits.maxMsgBytes));
  return largest + PAYLOAD_HEADROOM;
}

function requiredFields(input: ConfigInput): ConfMap {
  const desired = linkedState(input.desired, input.tls === undefined ? "plain" : "tls");
  return {
    // Acknowledgement and flow-control subjects with domain and account: without it no source works across accounts.
    // In a cluster, a replica that catches up by a snapshot must know how far its sources have got.
    feature_flags: {
      js_ack_fc_v2: true,
      js_snapshot_sources: input.cluster === undefined ? undefined : true,
    },
    cluster: renderCluster(input.cluster),
    jetstream: {
      store_dir: input.paths.store,
      domain: desired.site,
      sync_interval: input.sync === "always" ? "always" : `${input.sync}ms`,
      max_file: JETSTREAM_MAX_FILE,
      max_mem: JETSTREAM_MAX_MEMORY,
      include: input.paths.storeKey,
    },
    accounts: renderAccounts(desired, input.keys, input.retiredTenants),
    system_account: SYSTEM_ACCOUNT,
    leafnodes: renderLeafnodes({
      desired,
      siteKey: input.keys.site,
      leaf: input.leaf,
      leafCredential: input.paths.leafCredential,
      compression: input.compression,
      tls: input.tls ?? null,
    }),
  };
}
