/**
 * The `cluster` block: how the servers of one site find and trust each other. Between them all accounts are open, so a
 * member shows a certificate of the site's own CA and knows a password that only who has the site's keys can make: the CA
 * also signs certificates for guests.
 */
import { createHmac } from "node:crypto";
import type { ConfMap } from "./config_text.ts";
import type { SigningKey } from "./keys.ts";

/** A handshake between servers that takes longer is given up, in seconds. */
const HANDSHAKE_SECONDS = 5;
const ROUTE_USER = "member";

/** This server's place in the cluster of its site. */
export interface ClusterInput {
  /** Name of the cluster: no two sites of a mesh have the same. */
  readonly name: string;
  /** Name of this server among those of the site. */
  readonly member: string;
  /** `host:port` where the other servers of the site connect. */
  readonly listen: string;
  /** The file of {@link renderClusterCredential}, relative to the configuration file. */
  readonly credential: string;
  readonly tls: {
    /** File with certificate and key of this server, of the site's own CA. Absolute. */
    readonly certFile: string;
    readonly fingerprint: string;
    /** File with the site's own CA. Absolute. */
    readonly caFile: string;
  };
}

/** The name of a server: of the site alone, or with the member's name where the site is a cluster. */
export function serverName(site: string, member: string | undefined): string {
  return member === undefined ? site : `${site}-${member}`;
}

/** The block; `undefined` where the site is one server. */
export function renderCluster(input: ClusterInput | undefined): ConfMap | undefined {
  if (input === undefined) return undefined;
  const { tls } = input;
  return {
    name: input.name,
    listen: input.listen,
    no_advertise: true,
    include: input.credential,
    tls: {
      "#": `Certificate ${tls.fingerprint}`,
      cert_file: tls.certFile,
      key_file: tls.certFile,
      ca_file: tls.caFile,
      verify: true,
      min_version: "1.3",
      timeout: HANDSHAKE_SECONDS,
    },
  };
}

/** The password of the routes, the same for all who have the key of the sidecar's user. */
export function clusterPassword(mesh: SigningKey): string {
  return createHmac("sha256", mesh.seed()).update("leafmesh cluster routes").digest("hex");
}

/** The file with what servers of the cluster show each other, and where the others are. Secret: mode 0600, included and never logged. */
export function renderClusterCredential(routes: readonly string[], password: string): string {
  const urls = routes.map((route) => `  "nats-route://${ROUTE_USER}:${password}@${route}"\n`);
  return `authorization { user: "${ROUTE_USER}", password: "${password}", timeout: ${HANDSHAKE_SECONDS} }\nroutes: [\n${urls.join("")}]\n`;
}
