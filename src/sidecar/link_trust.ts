/** What an invitation says of this site's links, from its settings and its certificates. */
import type { LinkTrust } from "../control/link_trust.ts";
import type { ServerSettings } from "../model/schema/site.ts";
import { parseAddress } from "../nats/addresses.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";
import { replicasOf } from "./cluster.ts";
import { linkHosts } from "./links.ts";

/** @param leaf where the server listens for peers, `host:port` */
export function linkTrust(
  pki: Pick<SitePki, "caPem" | "fingerprint" | "issueClient"> | null,
  settings: ServerSettings,
  leaf: string,
): LinkTrust {
  const { host } = parseAddress(leaf);
  const everywhere = host === "0.0.0.0" || host === "::";
  const address = settings.advertise ?? (everywhere ? null : leaf);
  const servers = settings.cluster === undefined ? {} : { servers: replicasOf(settings) };
  return { address, tls: pki, ...servers, ...(pki === null ? {} : { hosts: linkHosts(settings) }) };
}
