/**
 * The desired state of a site: what the site file or the API asked for, with defaults filled in. Plain data, no secrets.
 */
import type { SchemaDocument } from "./schema/contract.ts";
import type { ExportPolicy, ImportPolicy } from "./schema/policy.ts";
import type { Peer } from "./schema/site.ts";
import type { TenantDocument } from "./schema/tenant.ts";
import { isExpired, type TenantUser } from "./schema/user.ts";
import { inlineSchema } from "./schema_files.ts";
import { parseBytes, parseDurationMs } from "./units.ts";

export interface DesiredTenant {
  readonly name: string;
  readonly users: readonly TenantUser[];
  readonly limits: {
    readonly storageBytes: number;
    readonly maxAgeMs: number;
    readonly maxMsgBytes: number;
    readonly whenFull: "discard-oldest" | "refuse";
    /** `null`: no limit of the tenant's own. */
    readonly connections: number | null;
    readonly subscriptions: number | null;
    readonly payloadBytes: number | null;
    /** Of the streams that apps make. */
    readonly streams: number;
    readonly streamStorageBytes: number;
    /** Of each stream. */
    readonly consumers: number;
  };
  readonly dedupe: { readonly windowMs: number; readonly ids: "origin" | "mesh" };
  readonly log: boolean;
  /** Servers of the site that hold each of its streams. Default 1. */
  readonly replicas?: number;
  /** Users may listen and not publish: while the server's positions are looked at. */
  readonly closed?: boolean;
  readonly schemas: readonly SchemaDocument[];
  readonly exports: readonly ExportPolicy[];
  readonly imports: readonly ImportPolicy[];
}

/** An invitation that lets somebody in now. */
export interface OpenInvitation {
  readonly id: string;
  /** Public half of the key that its token logs in with. */
  readonly key: string;
}

/**
 * A peer whose key was revoked, or whose invitation ended before its join was finished: it is in no plan and in no
 * configuration, but policies may go on naming it.
 */
export interface RevokedPeer {
  readonly name: string;
  readonly key: string;
  /** RFC 3339. */
  readonly at: string;
  readonly why: "revoked" | "join not finished";
}

export interface DesiredState {
  readonly site: string;
  /** Servers of the site, each of which holds all streams. Default 1. */
  readonly replicas?: number;
  /** Nobody is let in and nobody is dialled: the state may be old. All else is as it was. */
  readonly closed?: boolean;
  /** Made by {@link quietState}. */
  readonly quiet?: boolean;
  readonly peers: readonly Peer[];
  readonly invitations?: readonly OpenInvitation[];
  readonly revoked?: readonly RevokedPeer[];
  readonly tenants: readonly DesiredTenant[];
}

/** Streams that apps may make, the room that they may take beside the log, and consumers of each stream. */
const DEFAULT_STREAMS = 128;
const APP_STORAGE_FACTOR = 3;
const DEFAULT_CONSUMERS = 4096;

/** The state without users whose time is over: they are nobody, whatever the state still says of them. */
export function currentUsers(state: DesiredState, now: Date): DesiredState {
  if (!state.tenants.some(({ users }) => users.some((user) => isExpired(user, now)))) return state;
  const tenants = state.tenants.map((tenant) => ({
    ...tenant,
    users: tenant.users.filter((user) => !isExpired(user, now)),
  }));
  return { ...state, tenants };
}

/** The state of a site that is a cluster of so many servers. */
export function clusteredState(state: DesiredState, replicas: number): DesiredState {
  if (replicas === 1) return state;
  return { ...state, replicas, tenants: state.tenants.map((tenant) => ({ ...tenant, replicas })) };
}

/** A tenant's document with its defaults. @throws {LeafmeshError} `config_invalid` when a file that it names was not read */
export function desiredTenant(document: TenantDocument): DesiredTenant {
  const bytes = (text: string | undefined, fallback: string) => parseBytes(text ?? fallback) ?? 0;
  const millis = (text: string | undefined, fallback: string) => parseDurationMs(text ?? fallback) ?? 0;
  const storageBytes = bytes(document.limits?.storage, "2GiB");
  const { maxPayload, streamStorage } = document.limits ?? {};
  return {
    name: document.tenant,
    users: document.users ?? [],
    limits: {
      storageBytes,
      maxAgeMs: millis(document.limits?.maxAge, "7d"),
      maxMsgBytes: bytes(document.limits?.maxMsgSize, "1MiB"),
      whenFull: document.limits?.whenFull ?? "discard-oldest",
      connections: document.limits?.connections ?? null,
      subscriptions: document.limits?.subscriptions ?? null,
      payloadBytes: maxPayload === undefined ? null : bytes(maxPayload, ""),
      streams: document.limits?.streams ?? DEFAULT_STREAMS,
      streamStorageBytes:
        streamStorage === undefined ? storageBytes * APP_STORAGE_FACTOR : bytes(streamStorage, ""),
      consumers: document.limits?.consumers ?? DEFAULT_CONSUMERS,
    },
    dedupe: { windowMs: millis(document.dedupe?.window, "2m"), ids: document.dedupe?.ids ?? "origin" },
    log: document.log ?? true,
    schemas: (document.schemas ?? []).map(inlineSchema),
    exports: document.exports ?? [],
    imports: document.imports ?? [],
  };
}

/**
 * A state without what events cross: no links, no logs, and apps that only listen. Nothing is stored, and no stream takes anything
 * from another one.
 */
export function quietState(state: DesiredState): DesiredState {
  return {
    site: state.site,
    ...(state.replicas === undefined ? {} : { replicas: state.replicas }),
    quiet: true,
    peers: [],
    tenants: state.tenants.map((tenant) => ({
      ...tenant,
      log: false,
      users: tenant.users.filter((user) => user.mqtt !== true),
      closed: true,
    })),
  };
}

/**
 * A state as it was remembered, for a server of a cluster that starts beside others: who was let in may be let in no more. Accounts
 * and what crosses their borders stay: nats-server would not hear in time of what is added to them.
 */
export function closedState(state: DesiredState): DesiredState {
  return { ...state, closed: true };
}
