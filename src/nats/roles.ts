/**
 * What a user of a tenant may do, by role: the one table that the permissions of nats-server, and the page docs/users.md, are
 * made from. Pure.
 *
 * Permissions are checked on what a client sends. They are not checked on what the server sends for it: a client that
 * may ask the server for something has the answer sent where it likes in its own account (NATS-FACTS 0.1). So the narrow
 * roles ask for as little as can be, and nothing that matters to the mesh listens where an answer could go.
 */
import type { DesiredTenant } from "../model/desired.ts";
import {
  ackSubject,
  flowControlSubject,
  logStream,
  MESH_ACCOUNT,
  PRIVATE_INBOX,
  storedSubject,
  tenantAccount,
  tenantSubjects,
  userConsumer,
  userInbox,
} from "../model/names.ts";
import { type Role, roleOf, type TenantUser } from "../model/schema/user.ts";
import type { ConfMap } from "./config_text.ts";

/** A group of subjects that rows of the table name. */
export type SubjectGroup =
  | "own-events"
  | "inbox"
  | "own-consumer"
  | "plumbing"
  | "log"
  | "users-consumers"
  | "system"
  | "deliveries"
  | "jetstream-api"
  | "private-inboxes"
  | "audit"
  | "mqtt-state"
  | "mqtt-deliveries";

/** What a role may publish or subscribe: these alone, or all but these. */
export type Access =
  | { readonly type: "only"; readonly groups: readonly SubjectGroup[] }
  | { readonly type: "all-but"; readonly groups: readonly SubjectGroup[] };

export interface RoleRow {
  readonly about: string;
  readonly publish: Access;
  readonly subscribe: Access;
}

/** The table. */
export const ROLE_TABLE: Readonly<Record<Role, RoleRow>> = {
  publisher: {
    about: "publishes events and gets their PubAcks",
    publish: { type: "only", groups: ["own-events"] },
    subscribe: { type: "only", groups: ["inbox"] },
  },
  subscriber: {
    about: "hears events; with `log`, reads them from the log through a consumer of its own",
    publish: { type: "only", groups: ["own-consumer"] },
    subscribe: { type: "only", groups: ["own-events", "inbox", "mqtt-deliveries"] },
  },
  app: {
    about: "both, with streams, consumers, buckets and services of its own in the tenant's account",
    publish: {
      type: "all-but",
      groups: ["plumbing", "log", "users-consumers", "system", "mqtt-state"],
    },
    subscribe: {
      type: "all-but",
      groups: ["plumbing", "deliveries", "jetstream-api", "private-inboxes", "audit", "mqtt-state"],
    },
  },
  owner: {
    about: "all of the tenant's account but what the mesh needs: hears the advisories, sees MQTT sessions",
    publish: { type: "all-but", groups: ["plumbing", "log", "users-consumers", "system"] },
    subscribe: {
      type: "all-but",
      groups: ["plumbing", "deliveries", "jetstream-api", "private-inboxes"],
    },
  },
};

/** What each group is, in the words of the page. */
export const GROUP_TEXT: Readonly<Record<SubjectGroup, string>> = {
  "own-events": "the user's `subjects`, else all of `<tenant>.>`",
  inbox: "the user's private inbox, `_INBOX_.<user>.>`",
  "own-consumer":
    "with `log`: fetch from, ask about and acknowledge the consumer `user_<user>`; else nothing",
  plumbing:
    "what servers and sidecars say to each other: `mesh.>`, flow control and acknowledgements of MESH",
  log: "changing, emptying or removing the log",
  "users-consumers": "changing the consumers of users with `log`, or taking their events",
  system: "asking the server about itself or other accounts",
  deliveries: "what is delivered to the log",
  "jetstream-api": "posing as JetStream: `$JS.API.>`",
  "private-inboxes": "private inboxes of users",
  audit: "advisories: who did what in JetStream",
  "mqtt-state": "sessions and stored messages of MQTT clients",
  "mqtt-deliveries": "over MQTT: what the server delivers to the client's own subscriptions; else nothing",
};

/** Verbs of the JetStream API that change a stream or move its content. */
const LOG_VERBS = [
  "CREATE",
  "UPDATE",
  "DELETE",
  "PURGE",
  "MSG.DELETE",
  "RESTORE",
  "SNAPSHOT",
  "LEADER.STEPDOWN",
  "PEER.REMOVE",
];
/** Verbs that change a consumer; those of two words are denied beside these. */
const READER_VERBS = ["CREATE", "DELETE", "PAUSE", "RESET", "UNPIN"];
const MQTT_STREAMS = ["$MQTT_msgs", "$MQTT_rmsgs", "$MQTT_sess", "$MQTT_qos2in", "$MQTT_out"];

/** The permissions of a user, as nats-server's configuration has them. */
export function userPermissions(site: string, tenant: DesiredTenant, user: TenantUser): ConfMap {
  const row = ROLE_TABLE[roleOf(user)];
  const render = (access: Access, publishing: boolean): ConfMap => {
    const patterns = access.groups.flatMap((group) => patternsOf(group, site, tenant, user, publishing));
    if (access.type === "all-but") return { deny: patterns };
    // An empty list of what is allowed would allow everything.
    return patterns.length > 0 ? { allow: patterns } : { deny: [">"] };
  };
  return { publish: render(row.publish, true), subscribe: render(row.subscribe, false) };
}

function patternsOf(
  group: SubjectGroup,
  site: string,
  tenant: DesiredTenant,
  user: TenantUser,
  publishing: boolean,
): string[] {
  const { name } = tenant;
  switch (group) {
    case "own-events":
      return ownEvents(tenant, user, publishing);
    case "inbox":
      return [`${userInbox(user.name)}.>`];
    case "own-consumer":
      return user.log === true ? consumerSubjects(site, name, user.name) : [];
    case "plumbing":
      return [
        "mesh.>",
        flowControlSubject(site, "*", "*"),
        ackSubject(site, MESH_ACCOUNT, "*", "*"),
        "_R_.>",
      ];
    case "log":
      return LOG_VERBS.map((verb) => `$JS.API.STREAM.${verb}.${logStream(name)}`);
    case "users-consumers":
      return tenant.users
        .filter(({ log }) => log === true)
        .flatMap((other) => ofUserConsumer(site, name, other));
    case "system":
      return ["$SYS.REQ.SERVER.>", "$SYS.REQ.ACCOUNT.>"];
    case "deliveries":
      return origins(site, tenant).map((origin) => storedSubject(origin, tenantSubjects(name)));
    case "jetstream-api":
      return ["$JS.API.>"];
    case "private-inboxes":
      return [`${PRIVATE_INBOX}.>`];
    case "audit":
      return ["$JS.EVENT.>"];
    case "mqtt-state":
      if (publishing) return ["$MQTT.>", ...MQTT_STREAMS.flatMap((stream) => ofStream(stream))];
      // The server subscribes for the client, and lets no client of MQTT subscribe there by itself.
      return user.mqtt === true ? [] : ["$MQTT.>"];
    case "mqtt-deliveries":
      return user.mqtt === true ? ["$MQTT.sub.*"] : [];
  }
}

/** An MQTT client that subscribes to `acme/orders/#` subscribes to `acme.orders` too. */
function ownEvents(tenant: DesiredTenant, user: TenantUser, publishing: boolean): string[] {
  const patterns = user.subjects ?? [tenantSubjects(tenant.name)];
  if (publishing) return [...patterns];
  return [
    ...new Set(
      patterns.flatMap((pattern) => (pattern.endsWith(".>") ? [pattern.slice(0, -2), pattern] : [pattern])),
    ),
  ];
}

/** What reading a durable pull consumer needs. Its name is in each subject: nothing here serves for another one. */
function consumerSubjects(site: string, tenant: string, user: string): string[] {
  const log = logStream(tenant);
  const consumer = userConsumer(user);
  return [
    `$JS.API.CONSUMER.INFO.${log}.${consumer}`,
    `$JS.API.CONSUMER.MSG.NEXT.${log}.${consumer}`,
    ackSubject(site, tenantAccount(tenant), log, consumer),
  ];
}

/** All that changes the consumer of another user, or takes its events. */
function ofUserConsumer(site: string, tenant: string, user: TenantUser): string[] {
  const log = logStream(tenant);
  const consumer = userConsumer(user.name);
  return [
    ...READER_VERBS.map((verb) => `$JS.API.CONSUMER.${verb}.${log}.${consumer}`),
    `$JS.API.CONSUMER.*.*.${log}.${consumer}`,
    `$JS.API.CONSUMER.CREATE.${log}.${consumer}.>`,
    ackSubject(site, tenantAccount(tenant), log, consumer),
  ];
}

/** All of JetStream's API that names a stream. */
function ofStream(stream: string): string[] {
  return [
    `$JS.API.STREAM.*.${stream}`,
    `$JS.API.STREAM.*.*.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.>`,
    `$JS.API.CONSUMER.*.${stream}`,
    `$JS.API.CONSUMER.*.${stream}.>`,
    `$JS.API.CONSUMER.*.*.${stream}.>`,
  ];
}

/** Sites whose events the tenant's log takes. */
function origins(site: string, tenant: DesiredTenant): string[] {
  return [...new Set([site, ...tenant.imports.map((policy) => policy.origin ?? policy.from)])];
}
