/** How a site speaks its links: its certificates, where peers dial it, and what is said of them. */
import { hostname } from "node:os";
import type { CertificateReport, LinksReport } from "../control/site_api.ts";
import { linkMode } from "../model/links.ts";
import { dialUrls, type Peer, type ServerSettings } from "../model/schema/site.ts";
import { DEFAULT_LEAF, parseAddress } from "../nats/addresses.ts";
import type { LinkLog } from "../nats/link_log.ts";
import { watchCertificates } from "../nats/pki/expiry.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";
import { clusterHosts } from "./cluster.ts";

const WILDCARDS = new Set(["0.0.0.0", "::"]);
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/** Hosts that peers may dial, for the certificate of the links. */
export function linkHosts(settings: ServerSettings): string[] {
  const { host } = parseAddress(settings.advertise ?? settings.leaf ?? DEFAULT_LEAF);
  return [WILDCARDS.has(host) ? hostname().toLowerCase() : host, ...clusterHosts(settings)];
}

/** What is to be said at a start of how links are spoken; `null`: nothing. */
export function linkWarning(settings: ServerSettings): string | null {
  const { host } = parseAddress(settings.leaf ?? DEFAULT_LEAF);
  if (LOOPBACK.has(host)) return null;
  if (linkMode(settings) === "plain") {
    return `links are plain (server.links) and peers connect at ${settings.leaf}: who is on the way can read and change what crosses them`;
  }
  if (WILDCARDS.has(host) && settings.advertise === undefined) {
    return `peers connect at ${settings.leaf}: set server.advertise to what they dial, or the certificate of this site is good for ${hostname()} alone`;
  }
  return null;
}

/** The links as the API reports them. @param leaf where peers connect, with its real port */
export function linksReport(
  settings: ServerSettings,
  pki: SitePki,
  leaf: string,
  certificates: readonly CertificateReport[],
): LinksReport {
  return {
    mode: linkMode(settings),
    advertise: settings.advertise ?? leaf,
    ca: pki.trustedPem,
    certificates,
  };
}

/** All certificates of the site and of those whom it trusts; none where links are plain. */
export function certificateReports(
  settings: ServerSettings,
  pki: SitePki,
  peers: readonly Peer[],
  now: Date,
): CertificateReport[] {
  return linkMode(settings) === "plain" ? [] : watchCertificates(pki, peers, now);
}

/** Why the link of a peer failed last. One that dials us may have failed before it could say who it is. */
export function linkFailure(log: LinkLog, peer: Peer): string | null {
  const own = log.failure(peer.name);
  if (own !== null) return `${own.why} (${own.at.toISOString()})`;
  if (peer.dial !== undefined) return null;
  const [last] = log.strangers;
  return last === undefined
    ? null
    : `${peer.name} has not dialled us, or could not; the last that failed at our leaf port: ${last.why} (${last.at.toISOString()})`;
}

/** Whether the server has stopped to dial a peer that it should dial. */
export function stoppedDialling(log: LinkLog, peer: Peer): boolean {
  const addresses = dialUrls(peer).map((url) => new URL(url).host);
  return addresses.length > 0 && log.stoppedDialling(peer.name, addresses);
}
