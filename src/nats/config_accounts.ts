/**
 * The accounts of a site's server (DESIGN.md §2). What an account may reach in another is exactly what both sides write
 * down here, and each export names the one account it is for.
 */
import { accountBudget } from "../model/budget.ts";
import type { DesiredState, DesiredTenant } from "../model/desired.ts";
import {
  deliverSubject,
  flowControlSubject,
  heardReplaySubject,
  joinAccount,
  LOG_API_PREFIX,
  LOG_CONSUMER,
  linkAccount,
  localReplaySubjects,
  logDeliverSubject,
  logResetSubject,
  MESH_ACCOUNT,
  outStream,
  remoteStreams,
  routeResetSubject,
  rpcSubject,
  SYSTEM_ACCOUNT,
  siteApiReset,
  storedSubject,
  tenantAccount,
  tenantApiPrefix,
  tenantSubjects,
} from "../model/names.ts";
import type { Peer } from "../model/schema/site.ts";
import { loginOf, type TenantUser } from "../model/schema/user.ts";
import { overlappingPair, reduce } from "../model/subject.ts";
import { JOIN_MAX_BYTES, JOIN_MAX_SUBSCRIPTIONS, joinCrossing, joinUser } from "./config_join.ts";
import type { ConfMap } from "./config_text.ts";
import type { PublicSiteKeys } from "./keys.ts";
import { userPermissions } from "./roles.ts";

/** Streams that apps do not make: the log, and those that the server keeps for MQTT. */
const OWN_STREAMS = 6;
/** For memory streams of the tenant's apps, and the state of their ephemeral consumers. */
const TENANT_MEMORY_BYTES = 64 * 1024 ** 2;

/** Which subjects cross a border between two accounts of one server. */
export interface Crossing {
  readonly type: "service" | "stream";
  /** Owner of the subject: the account that exports it. */
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  /** The subject's name in the importing account, where it differs. */
  readonly as?: string;
}

/** The `accounts` block. */
export function renderAccounts(
  desired: DesiredState,
  keys: PublicSiteKeys,
  retiredTenants: readonly string[],
): ConfMap {
  const crossings = accountCrossings(desired);
  const { closed = false } = desired;
  const accounts: Record<string, ConfMap> = {
    [SYSTEM_ACCOUNT]: { users: [systemUser(keys.sys)] },
    [MESH_ACCOUNT]: {
      jetstream: "enabled",
      users: [{ nkey: keys.mesh, allowed_connection_types: ["STANDARD"] }],
      ...borders(MESH_ACCOUNT, crossings),
    },
  };
  for (const tenant of desired.tenants) {
    const name = tenantAccount(tenant.name);
    accounts[name] = {
      jetstream: tenantLimits(tenant),
      limits: accountLimits(tenant),
      users: closed ? [] : tenant.users.map((user) => tenantUser(desired.site, tenant, user)),
      ...borders(name, crossings),
    };
  }
  const current = new Set(desired.tenants.map((tenant) => tenant.name));
  for (const tenant of [...new Set(retiredTenants)].sort()) {
    // An account with JetStream that a reload drops and another adds again takes no publishes until a restart.
    if (!current.has(tenant)) accounts[tenantAccount(tenant)] = { jetstream: "enabled" };
  }
  for (const peer of desired.peers) {
    const name = linkAccount(peer.name);
    accounts[name] = {
      users: closed ? [] : linkUsers(desired.site, peer),
      limits: { max_leafnodes: mostLinks(desired, peer) },
      ...borders(name, crossings),
    };
  }
  for (const invitation of closed ? [] : (desired.invitations ?? [])) {
    const name = joinAccount(invitation.id);
    accounts[name] = {
      users: [joinUser(desired.site, invitation)],
      limits: { max_leafnodes: 1, max_subscriptions: JOIN_MAX_SUBSCRIPTIONS, max_payload: JOIN_MAX_BYTES },
      ...borders(name, crossings),
    };
  }
  return accounts;
}

/** Everything that crosses a border between accounts of this site. */
export function accountCrossings(desired: DesiredState): Crossing[] {
  return [
    ...desired.tenants.flatMap((tenant) => tenantCrossings(desired.site, tenant)),
    ...desired.peers.flatMap((peer) => linkCrossings(desired.site, peer.name)),
    ...(desired.closed ? [] : (desired.invitations ?? [])).map((invitation) =>
      joinCrossing(desired.site, invitation),
    ),
  ];
}

/**
 * What apps hear of remote events: what the tenant's imports accept, whatever a peer sends. Imports may not overlap, or an
 * app would hear an event twice: where the accepted patterns do, it is all of the tenant.
 */
function heardSubjects(tenant: DesiredTenant): string[] {
  const accepted = reduce(
    tenant.imports
      .filter((policy) => policy.live !== false && policy.mirror !== true)
      .flatMap((policy) => policy.subjects),
  );
  return overlappingPair(accepted) === null ? accepted : [tenantSubjects(tenant.name)];
}

function tenantCrossings(site: string, desired: DesiredTenant): Crossing[] {
  const tenant = desired.name;
  const account = tenantAccount(tenant);
  const toTenant = { from: MESH_ACCOUNT, to: account };
  const halves = desired.log ? [outStream(tenant), ...remoteStreams(tenant)] : [];
  return [
    // Publishes reach the stream out_<tenant>, and its PubAck comes back to the app.
    {
      type: "service",
      ...toTenant,
      subject: storedSubject(site, tenantSubjects(tenant)),
      as: tenantSubjects(tenant),
    },
    // Remote events, republished by in_<tenant>.
    ...heardSubjects(desired).map((subject): Crossing => ({ type: "stream", ...toTenant, subject })),
    // What this site replays to its own subscribers. It is no publish of the tenant's: nothing stores or exports it.
    {
      type: "stream",
      ...toTenant,
      subject: localReplaySubjects(tenant),
      as: heardReplaySubject(tenant, ">"),
    },
    // The log sources from the tenant's own streams through their consumers for it, and from no others. What asks for a RESET in
    // the tenant's account may be the log, or the server on behalf of an app: the sidecar looks whether the log needs it.
    ...halves.flatMap((stream): Crossing[] => [
      {
        type: "service",
        ...toTenant,
        subject: logResetSubject(tenant, stream),
        as: `${LOG_API_PREFIX}.CONSUMER.RESET.${stream}.${LOG_CONSUMER}`,
      },
      { type: "service", ...toTenant, subject: flowControlSubject(site, stream, LOG_CONSUMER) },
    ]),
    ...(desired.log
      ? [{ type: "stream", ...toTenant, subject: logDeliverSubject(tenant, "*") } as const]
      : []),
    // The sidecar makes and reads the log from MESH, without a user in the tenant's account.
    {
      type: "service",
      from: account,
      to: MESH_ACCOUNT,
      subject: "$JS.API.>",
      as: `${tenantApiPrefix(tenant)}.>`,
    },
  ];
}

function linkCrossings(site: string, peer: string): Crossing[] {
  const link = linkAccount(peer);
  const toLink = { from: MESH_ACCOUNT, to: link };
  const toMesh = { from: link, to: MESH_ACCOUNT };
  return [
    // For the peer's use: its own consumers here, what they deliver, and our sidecar's ear.
    {
      type: "service",
      ...toLink,
      // Not to the server: see control/pass_reset.ts.
      subject: routeResetSubject(site, "*", peer),
      as: siteApiReset(site, "*", peer),
    },
    { type: "service", ...toLink, subject: flowControlSubject(site, "*", peer) },
    { type: "stream", ...toLink, subject: deliverSubject(site, peer, "*") },
    { type: "service", ...toLink, subject: rpcSubject(site, peer, ">") },
    // For our use: the same of the peer.
    { type: "service", ...toMesh, subject: siteApiReset(peer, "*", site) },
    { type: "service", ...toMesh, subject: flowControlSubject(peer, "*", site) },
    { type: "stream", ...toMesh, subject: deliverSubject(peer, site, "*") },
    { type: "service", ...toMesh, subject: rpcSubject(peer, site, ">") },
  ];
}

/** The exports and imports of one account. */
function borders(account: string, crossings: readonly Crossing[]): ConfMap {
  const exports = crossings
    .filter((crossing) => crossing.from === account)
    .map(({ type, subject, to }) => ({ [type]: subject, accounts: [to] }));
  const imports = crossings
    .filter((crossing) => crossing.to === account)
    .map(({ type, subject, from, as }) => ({ [type]: { account: from, subject }, to: as }));
  return {
    exports: exports.length > 0 ? exports : undefined,
    imports: imports.length > 0 ? imports : undefined,
  };
}

/** The sidecar's user in the system account: asks servers, hears their events, and nothing else. */
function systemUser(key: string): ConfMap {
  return {
    nkey: key,
    allowed_connection_types: ["STANDARD"],
    permissions: {
      publish: { allow: ["$SYS.REQ.SERVER.>", "$SYS.REQ.ACCOUNT.>"] },
      subscribe: { allow: ["_INBOX.>", "$SYS.ACCOUNT.>", "$SYS.SERVER.>"] },
    },
  };
}

/** A user of MQTT may hear what the server delivers to such clients, and so must not speak the protocol of NATS. */
function tenantUser(site: string, tenant: DesiredTenant, user: TenantUser): ConfMap {
  const given = userPermissions(site, tenant, user);
  const permissions = tenant.closed === true ? { ...given, publish: { deny: [">"] } } : given;
  return user.passwordHash === undefined
    ? { nkey: user.key, allowed_connection_types: ["STANDARD", "WEBSOCKET"], permissions }
    : {
        user: loginOf(tenant.name, user),
        password: user.passwordHash,
        allowed_connection_types: user.mqtt === true ? ["MQTT", "MQTT_WS"] : ["STANDARD", "WEBSOCKET"],
        permissions,
      };
}

/** What the log, MQTT and the apps may take, so that no tenant takes what is another's. */
function tenantLimits(tenant: DesiredTenant): ConfMap {
  const { streams, consumers } = tenant.limits;
  const { replicas = 1 } = tenant;
  return {
    // What several servers hold counts for each of them.
    max_file: replicas * accountBudget(tenant),
    max_mem: replicas * TENANT_MEMORY_BYTES,
    max_streams: streams + OWN_STREAMS,
    max_consumers: consumers,
  };
}

function accountLimits({ limits }: DesiredTenant): ConfMap | undefined {
  const { connections, subscriptions, payloadBytes } = limits;
  if (connections === null && subscriptions === null && payloadBytes === null) return undefined;
  return {
    max_connections: connections ?? undefined,
    max_subscriptions: subscriptions ?? undefined,
    max_payload: payloadBytes ?? undefined,
  };
}

/** Servers that a cluster may lose within minutes, each of them once for each that it has, while links still find their way. */
const LOST_SERVERS = 4;

/**
 * One connection for each server of the peer. The servers of a cluster count together, also the connections that they dial, and
 * go on counting for minutes what a server that died had: neither side may be kept out meanwhile.
 */
function mostLinks({ replicas = 1 }: DesiredState, { servers = 1 }: Peer): number {
  return replicas === 1 ? servers : (servers + LOST_SERVERS) * replicas;
}

/** The peer by its key, and while it rotates by the next one: for one connection all the same. */
function linkUsers(site: string, peer: Peer): ConfMap[] {
  const keys = peer.nextKey === undefined ? [peer.key] : [peer.key, peer.nextKey];
  return keys.map((nkey) => linkUser(site, peer, nkey));
}

/** The peer's user: a leaf connection only, limited to the subjects that the link account exists for. */
function linkUser(site: string, peer: Peer, nkey: string): ConfMap {
  return {
    nkey,
    allowed_connection_types: ["LEAFNODE", "LEAFNODE_WS"],
    permissions: {
      publish: {
        allow: [
          siteApiReset(site, "*", peer.name),
          flowControlSubject(site, "*", peer.name),
          deliverSubject(peer.name, site, "*"),
          rpcSubject(site, peer.name, ">"),
          "_R_.>",
        ],
      },
      subscribe: {
        allow: [
          deliverSubject(site, peer.name, "*"),
          siteApiReset(peer.name, "*", site),
          flowControlSubject(peer.name, "*", site),
          rpcSubject(peer.name, site, ">"),
          "_R_.>",
        ],
      },
    },
  };
}
