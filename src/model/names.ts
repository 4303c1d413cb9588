/**
 * Every name that Leafmesh owns on a server: accounts, streams, consumers, subjects, headers, state keys.
 * No other module builds one of these by hand.
 *
 * Site, tenant and policy names are `[a-z][a-z0-9-]{0,31}`: they hold no `_`, `~` or `.`, so joined names stay
 * unambiguous, and a name with `_` can never be that of a site.
 */
import { createHash } from "node:crypto";

const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** Names that would collide with our own first tokens. */
const RESERVED = new Set(["mesh", "dlq", "local", "log"]);

/** Why `name` cannot name a site, a tenant or a policy; `null` when it can. */
export function nameProblem(name: string): string | null {
  if (!NAME.test(name)) return "must be a lower-case letter, then up to 31 of a-z, 0-9 and '-'";
  if (RESERVED.has(name)) return `is reserved (${[...RESERVED].join(", ")})`;
  return null;
}

// ── accounts ──

export const MESH_ACCOUNT = "MESH";
export const SYSTEM_ACCOUNT = "SYS";
export const tenantAccount = (tenant: string): string => `T_${tenant}`;
/** The tenant whose account it is; `null` for any other account. */
export const tenantOfAccount = (account: string): string | null =>
  account.startsWith("T_") ? account.slice(2) : null;
export const linkAccount = (peer: string): string => `LINK_${peer}`;

/** The account that one invitation opens: nothing but the join RPC is in it. */
export const joinAccount = (invitation: string): string => `JOIN_${invitation}`;

/**
 * The eight-character hash of an account that nats-server puts in `$JS.FC.<domain>.<hash>.<stream>.<consumer>.…`
 * Source: nats-server `server/events.go`, getHash.
 */
export function accountHash(account: string): string {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const digest = createHash("sha256").update(account).digest();
  return [...digest.subarray(0, 8)].map((byte) => digits[byte % digits.length]).join("");
}

// ── streams of MESH ──

export const outStream = (tenant: string): string => `out_${tenant}`;
/** The stream of remote events: republished to the tenant's core subscribers when `live`. */
export const inStream = (tenant: string, live: boolean): string =>
  live ? `in_${tenant}` : `quiet_${tenant}`;
export const viewStream = (tenant: string, policy: string): string => `view_${tenant}_${policy}`;
export const mirrorStream = (tenant: string, peer: string): string => `mirror_${tenant}_${peer}`;
export const dlqStream = (tenant: string): string => `dlq_${tenant}`;
/** What one replay has decided and its peer, or the site's own subscribers, have not taken yet. `id` is a name. */
export const replayStream = (tenant: string, id: string): string => `replay_${tenant}_${id}`;
/** Events that peers have replayed: apart from {@link inStream}, so that nothing passes them on as new ones. */
export const replayedStream = (tenant: string, live: boolean): string =>
  live ? `replayed_${tenant}` : `replayed-quiet_${tenant}`;
/** All streams of events that come from peers. */
export const remoteStreams = (tenant: string): readonly string[] => [
  inStream(tenant, true),
  inStream(tenant, false),
  replayedStream(tenant, true),
  replayedStream(tenant, false),
];
/** The tenant's log, a stream of its own account. */
export const logStream = (tenant: string): string => tenant;
export const STATE_BUCKET = "leafmesh_state";
/** The stream under the state bucket. */
export const STATE_STREAM = `KV_${STATE_BUCKET}`;
/** Which sidecars a site has, and which of them leads: in memory, made again when it is gone. */
export const MEMBERS_BUCKET = "leafmesh_members";
/** The audit trail. No tenant's stream has such a name, and no site one in capitals. */
export const AUDIT_STREAM = "leafmesh_audit";
export const AUDIT_SUBJECT = "AUDIT.record";

/** Streams that a tenant has one of. */
const TENANT_STREAMS = ["out", "in", "quiet", "dlq", "replayed", "replayed-quiet"] as const;

export type StreamName =
  | { readonly type: (typeof TENANT_STREAMS)[number]; readonly tenant: string }
  | { readonly type: "replay"; readonly tenant: string; readonly id: string }
  | { readonly type: "view"; readonly tenant: string; readonly policy: string }
  | { readonly type: "mirror"; readonly tenant: string; readonly peer: string };

/** What a stream of MESH is for; `null` for a name that is not ours. */
export function parseStreamName(name: string): StreamName | null {
  const [type, tenant, third, ...rest] = name.split("_");
  if (tenant === undefined || rest.length > 0 || !NAME.test(tenant)) return null;
  if (third === undefined) {
    const found = TENANT_STREAMS.find((one) => one === type);
    return found === undefined ? null : { type: found, tenant };
  }
  if (!NAME.test(third)) return null;
  if (type === "view") return { type, tenant, policy: third };
  if (type === "mirror") return { type, tenant, peer: third };
  if (type === "replay") return { type, tenant, id: third };
  return null;
}

// ── consumers ──

/** The consumer that `peer` sources from has the peer's name on every stream. */
export const peerConsumer = (peer: string): string => peer;
/** The consumer that the tenant's log sources from. */
export const LOG_CONSUMER = "log_";
/** The pull consumer that a view's worker reads `out_<tenant>` with. */
export const viewConsumer = (policy: string): string => `view_${policy}`;

/** Where the worker answers that reads through a session's consumer. No site has a name in capitals. */
export const readerSubject = (consumer: string): string => `READER.${consumer}`;

/** A consumer that only looks at events: of a policy diff or a shadow. `id` holds no `.` and no space. */
export const scanConsumer = (id: string): string => `scan_${id}`;

/** The consumer on the tenant's log of a user that has one; names of apps' own consumers hold what they like. */
export const userConsumer = (user: string): string => `user_${user}`;
/** The user whose consumer of the log it is; `null` for any other. */
export function userOfConsumer(name: string): string | null {
  const user = name.startsWith("user_") ? name.slice("user_".length) : "";
  return NAME.test(user) ? user : null;
}

// ── users ──

/** The name that a user with a password logs in with: one of a whole server. */
export const userLogin = (tenant: string, user: string): string => `${tenant}.${user}`;
/** Token that the private inboxes of users begin with; those of clients' libraries begin with `_INBOX`. */
export const PRIVATE_INBOX = "_INBOX_";
/** Prefix of the inbox that a user shares with nobody. */
export const userInbox = (user: string): string => `${PRIVATE_INBOX}.${user}`;

// ── subjects of events ──

/** Where an event of `tenant` from `origin` is stored: `<origin>.<tenant>.<rest>`, for a tenant subject or pattern. */
export const storedSubject = (origin: string, tenantSubject: string): string => `${origin}.${tenantSubject}`;
/** All subjects of a tenant. */
export const tenantSubjects = (tenant: string): string => `${tenant}.>`;
/** Where a view keeps an event: `<site>~<policy>.<tenant>.<rest>`. */
export const viewSubject = (site: string, policy: string, tenantSubject: string): string =>
  `${site}~${policy}.${tenantSubject}`;
/** Where a replay keeps an event: no policy's name begins with `~`. */
export const replaySubject = (site: string, id: string, tenantSubject: string): string =>
  viewSubject(site, `~${id}`, tenantSubject);
/** Where MESH publishes what is replayed to the site's own subscribers of a tenant, who hear it as `<tenant>.replay.>`. */
export const localReplaySubjects = (tenant: string): string => `mesh.replay.${tenant}.>`;
/** One local replay's part of them: `rest` are tokens behind the tenant. */
export const localReplaySubject = (tenant: string, name: string, rest: string): string =>
  `mesh.replay.${tenant}.${name}.${rest}`;
/** The same as its subscribers hear it. */
export const heardReplaySubject = (tenant: string, rest: string): string => `${tenant}.replay.${rest}`;
export const dlqSubject = (tenantSubject: string): string => `dlq.${tenantSubject}`;
export const dlqSubjects = (tenant: string): string => `dlq.${tenant}.>`;

/** The tenant subject of a stored, view or dead-letter subject: all but its first token. */
export function tenantSubjectOf(stored: string): string {
  return stored.slice(stored.indexOf(".") + 1);
}

/** The origin of a stored or view subject: its first token, without a view's `~<policy>`. */
export function originOf(stored: string): string {
  const first = stored.slice(0, stored.indexOf("."));
  const tilde = first.indexOf("~");
  return tilde < 0 ? first : first.slice(0, tilde);
}

// ── subjects between accounts and sites ──

/** Prefix under which `site` answers JetStream API calls of its peers (only CONSUMER.RESET is let through). */
export const siteApiPrefix = (site: string): string => `mesh.${site}.API`;
export const siteApiReset = (site: string, stream: string, consumer: string): string =>
  `mesh.${site}.API.CONSUMER.RESET.${stream}.${consumer}`;
/** Where the sidecar of `site` hears that `peer` attaches to `stream`; both may be `*`. */
export const routeResetSubject = (site: string, stream: string, peer: string): string =>
  `mesh.${site}.gate.reset.${stream}.${peer}`;
/** Where `site` delivers the events of `stream` to `peer`. */
export const deliverSubject = (site: string, peer: string, stream: string): string =>
  `mesh.${site}.deliver.${peer}.${stream}`;
/** What `peer` asks of the sidecar of `site`; `verb` may be `>`. */
export const rpcSubject = (site: string, peer: string, verb: string): string =>
  `mesh.${site}.rpc.${peer}.${verb}`;
/** Where the sidecar beside one server of a cluster hears that it is to configure it. In MESH alone. */
export const serverSubject = (site: string, member: string): string => `mesh.${site}.server.${member}`;
/** Where the sidecar of `site` hears who shows an invitation; `invitation` may be `*`. No peer's account reaches it. */
export const joinSubject = (site: string, invitation: string): string => `mesh.${site}.join.${invitation}`;
/** Where it answers, in the account of that invitation. */
export const joinAnswerSubject = (site: string, invitation: string): string =>
  `mesh.${site}.joined.${invitation}`;
/** Flow control of the consumers of MESH at `site`; stream and consumer may be `*`. */
export const flowControlSubject = (site: string, stream: string, consumer: string): string =>
  `$JS.FC.${site}.${accountHash(MESH_ACCOUNT)}.${stream}.${consumer}.>`;
/** Acknowledgements of a consumer of `account` at `site`; stream and consumer may be `*`. */
export const ackSubject = (site: string, account: string, stream: string, consumer: string): string =>
  `$JS.ACK.${site}.${accountHash(account)}.${stream}.${consumer}.>`;
/** Prefix under which MESH calls the JetStream API of a tenant's account. */
export const tenantApiPrefix = (tenant: string): string => `mesh.local.${tenant}.API`;
/** Prefix under which a tenant's account calls CONSUMER.RESET of its log's sources in MESH. */
export const LOG_API_PREFIX = "mesh.API";
/** Where the sidecar hears that the log of `tenant` attaches to `stream`; both may be `*`. */
export const logResetSubject = (tenant: string, stream: string): string =>
  `mesh.log.${tenant}.reset.${stream}`;
export const logDeliverSubject = (tenant: string, stream: string): string => `mesh.log.${tenant}.${stream}`;

/** What one sidecar of a site asks of another one, in MESH alone; `member` and `verb` may be `*`. */
export const memberSubject = (site: string, member: string, verb: string): string =>
  `mesh.${site}.member.${member}.${verb}`;

// ── headers ──

/** Position of a view's event: the sequence of the stream that the view reads. */
export const POSITION_HEADER = "Leafmesh-Position";
/** Metadata of a view: `<sequence>:<position>:<stored, milliseconds>` of its last event that was erased. */
export const VIEW_ERASED = "leafmesh-erased";
/** The note under {@link VIEW_ERASED}; `null` when there is none. */
export function erasedPosition(
  metadata: Readonly<Record<string, string>> | undefined,
): { readonly sequence: number; readonly position: number; readonly storedMs: number } | null {
  const found = /^(\d+):(\d+):(\d+)$/.exec(metadata?.[VIEW_ERASED] ?? "");
  if (found === null) return null;
  return { sequence: Number(found[1]), position: Number(found[2]), storedMs: Number(found[3]) };
}
/** Version of the policy that decided an event of a view. */
export const POLICY_HEADER = "Leafmesh-Policy";
/** Only on an event of a view that was a dead letter: its sequence in the dead-letter stream. */
export const REDRIVEN_HEADER = "Leafmesh-Redriven";
/** Only on an event that was replayed: the id of the replay. */
export const REPLAY_HEADER = "Leafmesh-Replay";
/** Headers of a dead letter. */
export const DLQ_HEADERS = {
  reason: "Leafmesh-Dlq-Reason",
  rule: "Leafmesh-Dlq-Rule",
  policy: "Leafmesh-Dlq-Policy",
  version: "Leafmesh-Dlq-Policy-Version",
  error: "Leafmesh-Dlq-Error",
  subject: "Leafmesh-Dlq-Subject",
  origin: "Leafmesh-Dlq-Origin",
  position: "Leafmesh-Dlq-Position",
  /** When the origin stored the event, milliseconds since 1970. */
  time: "Leafmesh-Dlq-Time",
  /** The life of the stream that the position is of. */
  epoch: "Leafmesh-Dlq-Epoch",
  /** The event's own header block, base64. */
  headers: "Leafmesh-Dlq-Headers",
  /** Only on a dead letter that the whole event does not fit into: bytes of its header block and its payload. */
  truncated: "Leafmesh-Dlq-Truncated",
} as const;

// ── keys of the state bucket ──

export const stateKey = {
  site: "site",
  tenant: (tenant: string) => `tenant.${tenant}`,
  exportPolicy: (tenant: string, name: string) => `export.${tenant}.${name}`,
  shadow: (tenant: string, name: string) => `shadow.${tenant}.${name}`,
  importFrom: (tenant: string, peer: string, origin: string) => `import.${tenant}.${peer}.${origin}`,
  schema: (tenant: string, name: string) => `schema.${tenant}.${name}`,
  peer: (peer: string) => `peer.${peer}`,
  /** A token of the API; `id` may be `*`. */
  token: (id: string) => `token.${id}`,
  invitation: (id: string) => `invitation.${id}`,
  /** A site key that may not come back. */
  revocation: (key: string) => `revocation.${key}`,
  /** What a peer said last that it accepts from us. */
  accepted: (peer: string) => `accepted.${peer}`,
  /** The dead letters that are on their way into a view. */
  redrive: (tenant: string, policy: string) => `redrive.${tenant}.${policy}`,
  /** A replay; `id` may be `*`. */
  replay: (id: string) => `replay.${id}`,
  /** An erasure, ours or one that a peer has asked for. */
  erasure: (id: string) => `erasure.${id}`,
  /** The last rotation of this site of its certificate, CA or key. */
  rotation: (what: string) => `rotation.${what}`,
  /** The last rotation that a peer has told of. */
  heardRotation: (peer: string) => `heard-rotation.${peer}`,
} as const;

/** Names one life of a stream, of when the server says it was made: another one of its name has another. */
export function streamEpoch(created: string): string {
  return Math.floor(Date.parse(created)).toString(36);
}

// ── keys of the members' bucket ──

export const memberKey = {
  /** The lease of the sidecar that leads. */
  leader: "leader",
  /** The heartbeat of a sidecar. */
  member: (name: string) => `member.${name}`,
} as const;
/** The member whose heartbeat is under a key; `null` for any other key. */
export function memberOfKey(key: string): string | null {
  const name = key.startsWith("member.") ? key.slice("member.".length) : "";
  return NAME.test(name) ? name : null;
}
