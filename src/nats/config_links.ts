/** The `leafnodes` block: where peers connect, which we dial, and what each end must show. */

import { describeCertificate, splitPem } from "../model/certificate.ts";
import type { DesiredState } from "../model/desired.ts";
import type { LinkCompression } from "../model/links.ts";
import { linkAccount } from "../model/names.ts";
import { dialUrls, type Peer } from "../model/schema/site.ts";
import type { ConfMap } from "./config_text.ts";
import { MINIMUM_SERVER_VERSION } from "./find.ts";

/** A handshake that takes longer is given up, in seconds. */
const HANDSHAKE_SECONDS = 5;

/** This site's certificate, and where the server finds it and those that it trusts. All paths are absolute. */
export interface LinkTls {
  /** File with certificate and key of this site's end. */
  readonly linkFile: string;
  /** Fingerprint of that certificate: another one makes another configuration, which the server reads. */
  readonly linkFingerprint: string;
  /** Folder for the certificates of CAs. */
  readonly trustFolder: string;
  /** This site's own CAs: whoever it has invited shows a certificate of theirs. */
  readonly ownCa: string;
}

export interface LeafnodesInput {
  readonly desired: DesiredState;
  readonly siteKey: string;
  /** `host:port` for peers. */
  readonly leaf: string;
  readonly leafCredential: string;
  /** Of what this end sends, on links that it dials and on others. */
  readonly compression: LinkCompression;
  /** `null`: links are plain. */
  readonly tls: LinkTls | null;
}

/** A configuration with the files that it names, which must be there before it. */
export interface RenderedConfig {
  readonly text: string;
  readonly files: readonly ServerFile[];
}

/** A file that the configuration names, with what it must hold. Secret or not: mode 0600. */
export interface ServerFile {
  readonly path: string;
  readonly content: string;
}

/** The certificates that the server trusts: those of all peers where they dial us, of one alone where we dial it. */
export function trustFiles(desired: DesiredState, { trustFolder, ownCa }: LinkTls): ServerFile[] {
  return [
    {
      path: bundleFile(trustFolder),
      content: [ownCa, ...desired.peers.map(({ ca = "" }) => ca)].map(lines).join(""),
    },
    ...desired.peers
      .filter(({ dial }) => dial !== undefined)
      .map(({ name, ca = "" }) => ({ path: peerFile(trustFolder, name), content: lines(ca) })),
  ];
}

/** The block. */
export function renderLeafnodes(input: LeafnodesInput): ConfMap {
  const { desired, leaf, compression, tls } = input;
  return {
    "#": `Links with site key ${input.siteKey}`,
    listen: leaf,
    no_advertise: true,
    min_version: MINIMUM_SERVER_VERSION,
    compression,
    tls: tls === null ? undefined : acceptTls(desired, tls),
    remotes: desired.peers.flatMap((peer) => {
      const urls = desired.closed ? [] : dialUrls(peer);
      return urls.length === 0 ? [] : [remote(peer, urls, input)];
    }),
  };
}

function acceptTls(desired: DesiredState, tls: LinkTls): ConfMap {
  const trusted = [`this site ${fingerprints(tls.ownCa)}`, ...desired.peers.map(trust)];
  return {
    "#": `Trusts the CAs of ${trusted.join(", ")}`,
    ...ownCertificate(tls),
    ca_file: bundleFile(tls.trustFolder),
    verify: true,
    handshake_first: true,
  };
}

function remote(
  peer: Peer,
  urls: readonly string[],
  { leafCredential, compression, tls }: LeafnodesInput,
): ConfMap {
  return {
    urls,
    account: linkAccount(peer.name),
    include: leafCredential,
    ignore_discovered_servers: true,
    // A server that is busy, or far away, does not speak within the second that is the default.
    first_info_timeout: `${HANDSHAKE_SECONDS}s`,
    compression,
    tls: tls === null ? undefined : dialTls(peer, urls, tls),
    // The server lets every account ask it about all accounts; a peer must not.
    deny_imports: ["$SYS.>", "$JS.API.>", "$JS.*.API.>"],
    deny_exports: ["$SYS.>", "$JS.API.>", "$JS.*.API.>"],
  };
}

/** The dialled end must show a certificate of this peer's CA, not of any other, for the host that we dial. */
function dialTls(peer: Peer, urls: readonly string[], tls: LinkTls): ConfMap {
  return {
    "#": `Trusts the CA of ${trust(peer)}`,
    ...ownCertificate(tls),
    ca_file: peerFile(tls.trustFolder, peer.name),
    // A WebSocket has its own beginning.
    handshake_first: urls.some((url) => url.startsWith("wss://")) ? undefined : true,
  };
}

function ownCertificate({ linkFile, linkFingerprint }: LinkTls): ConfMap {
  return {
    "# certificate": `Certificate ${linkFingerprint}`,
    cert_file: linkFile,
    key_file: linkFile,
    min_version: "1.3",
    timeout: HANDSHAKE_SECONDS,
  };
}

const trust = ({ name, ca = "" }: Peer): string => `${name} ${fingerprints(ca)}`;
const bundleFile = (folder: string): string => `${folder}/trusted.pem`;
const peerFile = (folder: string, peer: string): string => `${folder}/peer-${peer}.pem`;
const lines = (pem: string): string => splitPem(pem).join("");

function fingerprints(pem: string): string {
  return splitPem(pem)
    .map((one) => describeCertificate(one).fingerprint)
    .join(" and ");
}
