/** The site file (`site.yaml`). */
import { z } from "zod";
import { AlarmSettings } from "./alarms.ts";
import { ApiSettings } from "./api.ts";
import { ForbidList, SensitiveList } from "./guards.ts";
import {
  Address,
  CaCertificates,
  duration,
  InvitationId,
  isHostPort,
  Name,
  PublicKey,
  size,
} from "./scalars.ts";
import { EncryptionSettings, SecretSettings } from "./secret.ts";
import { TenantDocument } from "./tenant.ts";

const LeafUrl = z
  .string()
  .refine((text) => isLeafUrl(text), {
    error: (issue) =>
      `'${String(issue.input)}' is no leaf URL (expected for example nats-leaf://host:7422, without user or password)`,
  })
  .meta({ example: "nats-leaf://tokyo.example.net:7422" });

function isLeafUrl(text: string): boolean {
  const [, host = "", port] = /^(?:nats-leaf|tls|ws|wss):\/\/([^\s/@]+?)(:\d+)?$/.exec(text) ?? [];
  return isHostPort(`${host}${port ?? ":0"}`);
}

/** Servers of one site, at most. */
const MOST_SERVERS = 5;
export const ServerCount = z.int().min(1).max(MOST_SERVERS);

export const Peer = z
  .strictObject({
    name: Name,
    dial: z
      .union([LeafUrl, z.array(LeafUrl).min(1).max(MOST_SERVERS)])
      .optional()
      .meta({
        description: "Leaf address of the peer, or one for each of its servers; without it the peer dials us",
      }),
    servers: ServerCount.optional().meta({
      description: "How many servers the peer is: each of them may have a link with us. Default 1",
    }),
    key: PublicKey.meta({
      description: "The peer's site key, as `leafmesh init` or `status` prints it there",
    }),
    nextKey: PublicKey.optional().meta({
      description: "The key that takes the place of `key`: while the peer rotates it, both are good",
    }),
    ca: CaCertificates.optional().meta({
      description:
        "The peer's CA, as `leafmesh ca show` prints it there: PEM, while it rotates both. Needed where links are `tls`",
    }),
  })
  .meta({ id: "Peer" });
export type Peer = z.infer<typeof Peer>;

/** A peer as the state keeps it. */
export const PeerDocument = Peer.extend({
  invited: InvitationId.optional().meta({
    description:
      "The invitation that has made the peer, while its join is not finished: when it is closed or expires, the peer goes. " +
      "Who writes the peer makes it his own",
  }),
}).meta({ id: "PeerDocument" });
export type PeerDocument = z.infer<typeof PeerDocument>;

/** The leaf addresses at which a peer is dialled; none where it dials us. */
export function dialUrls({ dial }: Pick<Peer, "dial">): readonly string[] {
  return dial === undefined ? [] : typeof dial === "string" ? [dial] : dial;
}

/** Whether an address is one that only this machine can reach. */
export function isLoopback(address: string): boolean {
  return /^(127(\.\d{1,3}){3}|localhost|\[::1\]):\d+$/.test(address);
}

export const ClusterSettings = z
  .strictObject({
    name: Name.optional().meta({
      description: "Name of the cluster, another for each site of the mesh; default: the site's name",
    }),
    member: Name.meta({
      description: "Name of this server among those of the site: it is called `<site>-<member>`",
    }),
    listen: Address.meta({ description: "Where the other servers of the site connect" }),
    routes: z
      .array(Address)
      .min(1)
      .max(MOST_SERVERS)
      .meta({ description: "Where all servers of the site listen for each other" }),
    replicas: z
      .union([z.literal(3), z.literal(5)])
      .optional()
      .meta({
        description: "How many servers hold each stream, and so how many the site has: 3 (default) or 5",
      }),
  })
  .superRefine(({ listen, routes, replicas = 3 }, context) => {
    const report = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    for (const [path, address] of [["listen", listen], ...routes.map((route) => ["routes", route])]) {
      if (address?.endsWith(":0")) report(path ?? "", `${address} names no port`);
    }
    if (routes.length < replicas - 1) {
      report("routes", `name ${routes.length} servers, expected the ${replicas - 1} others of the site`);
    }
  })
  .meta({ id: "ClusterSettings" });
export type ClusterSettings = z.infer<typeof ClusterSettings>;

/** How hard what a link sends is compressed; from nats-server's `leafnodes.compression`. */
export const LINK_COMPRESSIONS = ["s2_fast", "s2_better", "s2_best", "s2_auto", "off"] as const;

export const ServerSettings = z
  .strictObject({
    mode: z.enum(["embedded", "external"]).optional(),
    listen: Address.optional().meta({ description: "Where apps connect; default 127.0.0.1:4222" }),
    leaf: Address.optional().meta({ description: "Where peers connect; default 127.0.0.1:7422" }),
    links: z.enum(["tls", "plain"]).optional().meta({
      description:
        "tls (default): links speak TLS from the first byte, and each end checks the other's certificate. plain: neither, for private networks",
    }),
    compression: z.enum(LINK_COMPRESSIONS).optional().meta({
      description:
        "How hard this site compresses what it sends on its links, as nats-server's `leafnodes.compression`; default s2_fast",
    }),
    advertise: Address.optional().meta({
      description: "What peers dial, in the certificate of the links and in invitations; default: `leaf`",
    }),
    mqtt: Address.optional().meta({
      description: "Where clients of MQTT connect, without TLS; default: nowhere",
    }),
    websocket: Address.optional().meta({
      description:
        "Where clients connect over WebSocket, without TLS and so at loopback alone; default: nowhere",
    }),
    sync: z
      .union([z.literal("always"), duration({ minMs: 100 })])
      .optional()
      .meta({
        description:
          "When the store is flushed to disk: always (default), or an interval in which power loss may lose events",
      }),
    binary: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Path of nats-server; default: found on this machine" }),
    linger: duration().optional().meta({
      description:
        "How long an embedded server outlives a sidecar that died, so that native routes flow on; default 60s",
    }),
    hungAfter: z
      .union([z.literal("never"), duration({ minMs: 10_000 })])
      .optional()
      .meta({
        description:
          "How long an embedded server that runs may answer nothing before it is ended and started again; default 60s",
      }),
    cluster: ClusterSettings.optional().meta({
      description: "This server is one of several of the site, each with a sidecar of its own",
    }),
    encryption: EncryptionSettings.optional().meta({
      description:
        "Encrypts the store, from a site's first start on; it cannot be turned off or given another key",
    }),
    config: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "External server: the configuration file that the sidecar may write and reload" }),
    url: z
      .string()
      .regex(/^(?:(?:nats|tls|ws|wss):\/\/)?[^\s/@]+$/, {
        error:
          "this is no address of a server (expected for example nats://host:4222, without user or password)",
      })
      .optional()
      .meta({ description: "External server: where the sidecar connects" }),
  })
  .superRefine((server, context) => {
    const report = (field: "mqtt" | "websocket", message: string) =>
      context.addIssue({ code: "custom", path: [field], message });
    if (server.websocket !== undefined && !isLoopback(server.websocket)) {
      report(
        "websocket",
        `${server.websocket} is not loopback: put a proxy with TLS in front of a loopback address`,
      );
    }
    for (const field of ["mqtt", "websocket"] as const) {
      const address = server[field];
      if (address === undefined) continue;
      if (address.endsWith(":0")) report(field, `${address} names no port`);
      if (server.mode === "external") report(field, `'${field}' goes with mode: embedded`);
    }
    const external = server.mode === "external";
    const only = (
      field: "config" | "url" | "binary" | "linger" | "hungAfter" | "encryption" | "cluster",
      mode: string,
    ) => {
      if (server[field] !== undefined) {
        context.addIssue({ code: "custom", path: [field], message: `'${field}' goes with mode: ${mode}` });
      }
    };
    if (external) {
      only("linger", "embedded");
      only("hungAfter", "embedded");
      only("encryption", "embedded");
      only("cluster", "embedded");
      if (server.url === undefined) {
        context.addIssue({
          code: "custom",
          path: ["url"],
          message: "mode: external needs 'url', where the sidecar connects",
        });
      }
    } else {
      only("config", "external");
      only("url", "external");
    }
  })
  .meta({ id: "ServerSettings" });
export type ServerSettings = z.infer<typeof ServerSettings>;

export { AlarmSettings } from "./alarms.ts";
export { ApiSettings } from "./api.ts";

export const AuditSettings = z
  .strictObject({
    maxAge: duration({ minMs: 24 * 3_600_000 })
      .optional()
      .meta({ description: "How long records are kept; default 400d" }),
    maxBytes: size(1024 ** 2)
      .optional()
      .meta({ description: "How much of them is kept, the oldest go first; default 256MiB" }),
  })
  .meta({ id: "AuditSettings" });
export type AuditSettings = z.infer<typeof AuditSettings>;

export const SiteFile = z
  .strictObject({
    site: Name,
    data: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Data folder, relative to the site file; default leafmesh-data/<site>" }),
    server: ServerSettings.optional(),
    api: ApiSettings.optional(),
    drain: duration({ maxMs: 3_600_000 }).optional().meta({
      description: "How long a stop by a signal may take until all is drained; default 20s",
    }),
    alarms: AlarmSettings.optional(),
    audit: AuditSettings.optional(),
    secrets: SecretSettings.optional().meta({
      description: "Where seeds are kept outside of the data folder",
    }),
    peers: z.array(Peer).optional(),
    tenants: z.array(TenantDocument).optional(),
    forbid: ForbidList.optional().meta({
      description: "Flows that must not be: a policy that would let one out is refused",
    }),
    sensitive: SensitiveList.optional().meta({
      description: "Fields of any tenant that lint follows: they must not reach another site unredacted",
    }),
  })
  .meta({ id: "SiteFile" });
export type SiteFile = z.infer<typeof SiteFile>;
