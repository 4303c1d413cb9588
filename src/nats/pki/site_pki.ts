/**
 * The private CA of a site, and the certificate that it shows on its links. Peers trust this CA for this site alone;
 * nothing else does.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { type CertificateInfo, describeCertificate } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { prepareFolder, readSecretFile, writeSecretFile } from "../files.ts";
import { keysFolder } from "../keys.ts";
import { type Credential, createCa, issueApi, issueClient, issueLink } from "./certificates.ts";

const DAY_MS = 24 * 3_600_000;
const CA_TTL_MS = 3650 * DAY_MS;
const LINK_TTL_MS = 90 * DAY_MS;
/** A certificate is made anew when this part of its life is over. */
const RENEW_AFTER = 2 / 3;

/** Names of the files in the folder of keys. A key stands in one file with its certificate, so that both are always a pair. */
export const PKI_FILES = { ca: "ca.pem", caKey: "ca.key", link: "link.pem" } as const;

export interface SitePkiOptions {
  readonly site: string;
  /** Hosts that peers dial, beside loopback. */
  readonly hosts?: readonly string[];
  readonly now?: () => Date;
  /** How long certificates of the link live; default 90 days. */
  readonly linkTtlMs?: number;
}

/** A site's CA and link certificate. */
export class SitePki {
  readonly #folder: string;
  readonly #options: SitePkiOptions;
  #ca: Credential;
  #link: Credential;

  private constructor(folder: string, options: SitePkiOptions, ca: Credential, link: Credential) {
    this.#folder = folder;
    this.#options = options;
    this.#ca = ca;
    this.#link = link;
  }

  /**
   * Reads the CA and the link certificate, and makes what is not there or is good no longer: the certificate when its
   * time is nearly over, its hosts are others, or the CA is another.
   *
   * @throws LeafmeshError `key_invalid` when a file cannot be used or others may read it, `data_folder_unusable`
   */
  static async load(dataFolder: string, options: SitePkiOptions): Promise<SitePki> {
    const folder = keysFolder(dataFolder);
    await prepareFolder(folder, 0o700);
    const ca = await loadCa(folder, options);
    const stored = await readText(join(folder, PKI_FILES.link));
    const there = stored === null ? null : readCredential(stored);
    if (there !== null && fits(there, ca, options)) return new SitePki(folder, options, ca, there);
    const pki = new SitePki(folder, options, ca, there ?? ca);
    await pki.renewLink();
    return pki;
  }

  /** The certificate of the CA: what peers need of this site. Public. */
  get caPem(): string {
    return this.#ca.certPem;
  }

  /** Every CA of this site that its own certificates may be of: two while it rotates. Public. */
  get trustedPem(): string {
    return this.#ca.certPem;
  }

  /** SHA-256 of the CA's public key, hex. */
  get fingerprint(): string {
    return this.ca.fingerprint;
  }

  get ca(): CertificateInfo {
    return describeCertificate(this.#ca.certPem);
  }

  /** The certificate that this site shows on its links. */
  get link(): CertificateInfo {
    return describeCertificate(this.#link.certPem);
  }

  /** File with certificate and key of the link. */
  get linkFile(): string {
    return join(this.#folder, PKI_FILES.link);
  }

  /** Certificate and key of the link, for connections that the sidecar makes itself. Secret. */
  get linkCredential(): Credential {
    return this.#link;
  }

  /** A certificate with which somebody may dial this site, for a while. */
  async issueClient(wanted: { readonly commonName: string; readonly ttlMs: number }): Promise<Credential> {
    const validity = { now: nowOf(this.#options), ttlMs: wanted.ttlMs };
    return await issueClient(this.#ca, wanted.commonName, validity);
  }

  /** A certificate for the API of this site, reached as any of the hosts and from this machine. */
  async issueApi(wanted: { readonly hosts: readonly string[]; readonly ttlMs: number }): Promise<Credential> {
    const names = { site: this.#options.site, hosts: linkHosts(wanted) };
    return await issueApi(this.#ca, names, { now: nowOf(this.#options), ttlMs: wanted.ttlMs });
  }

  /** When the certificate of the link is to be made anew. */
  get renewAt(): Date {
    return renewAt(this.link);
  }

  /** Makes certificate and key of the link anew. The server knows them after a reload. */
  async renewLink(): Promise<void> {
    const { site, linkTtlMs } = this.#options;
    const names = { site, hosts: linkHosts(this.#options) };
    this.#link = await issueLink(this.#ca, names, {
      now: nowOf(this.#options),
      ttlMs: linkTtlMs ?? LINK_TTL_MS,
    });
    await writeSecretFile(this.linkFile, this.#link.certPem + this.#link.keyPem, "replace");
  }
}

function nowOf({ now }: SitePkiOptions): Date {
  return now?.() ?? new Date();
}

/** Every host in the certificate of the link: what peers dial, and this machine to itself. */
export function linkHosts({ hosts = [] }: Pick<SitePkiOptions, "hosts">): string[] {
  return [...new Set([...hosts, "localhost", "127.0.0.1", "::1"])];
}

function renewAt({ notBefore, notAfter }: CertificateInfo): Date {
  const life = notAfter.getTime() - notBefore.getTime();
  return new Date(notBefore.getTime() + life * RENEW_AFTER);
}

async function loadCa(folder: string, options: SitePkiOptions): Promise<Credential> {
  const [certFile, keyFile] = [join(folder, PKI_FILES.ca), join(folder, PKI_FILES.caKey)];
  const [shown, stored] = [await readText(certFile), await readText(keyFile)];
  const problem = (what: string) =>
    new LeafmeshError(
      "key_invalid",
      `${keyFile} holds no CA of this site (${what}): restore it from a backup, or remove it and ${certFile} to get a new CA, which every peer then needs`,
    );
  if (stored === null) {
    if (shown !== null) throw problem("it is missing");
    const ca = await createCa(options.site, { now: nowOf(options), ttlMs: CA_TTL_MS });
    await writeCa(folder, ca);
    return ca;
  }
  const ca = readCredential(stored);
  try {
    if (ca === null || !isPair(ca)) throw problem("expected a certificate and its private key");
    if (!describeCertificate(ca.certPem).isCa) throw problem("its certificate is of no CA");
  } catch (thrown) {
    throw thrown instanceof LeafmeshError ? thrown : problem("it cannot be read");
  }
  if (shown !== ca.certPem) await writeSecretFile(certFile, ca.certPem, "replace");
  return ca;
}

/** Both in one file, so that they always belong together; the certificate also alone, to be handed out. */
async function writeCa(folder: string, ca: Credential): Promise<void> {
  await writeSecretFile(join(folder, PKI_FILES.caKey), ca.certPem + ca.keyPem, "replace");
  await writeSecretFile(join(folder, PKI_FILES.ca), ca.certPem, "replace");
}

/** Certificate and key of one file; `null` when it holds something else. */
function readCredential(text: string): Credential | null {
  const at = text.indexOf("-----BEGIN PRIVATE KEY-----");
  if (at < 0) return null;
  return { certPem: text.slice(0, at), keyPem: text.slice(at) };
}

function fits(link: Credential, ca: Credential, options: SitePkiOptions): boolean {
  try {
    const info = describeCertificate(link.certPem);
    const issued = new X509Certificate(link.certPem).verify(new X509Certificate(ca.certPem).publicKey);
    const now = nowOf(options);
    const named = new Set(info.names.map((name) => hostOf(name)));
    const hosts = linkHosts(options).map((host) => canonical(host));
    return (
      issued &&
      isPair(link) &&
      info.subject === options.site &&
      now >= info.notBefore &&
      now < renewAt(info) &&
      hosts.every((host) => named.has(host))
    );
  } catch {
    return false;
  }
}

/** The host of a name as Bun, Deno and Node write it: IPv6 comes long or short. */
function hostOf(name: string): string {
  return canonical(name.slice(name.indexOf(":") + 1));
}

function canonical(host: string): string {
  if (!host.includes(":")) return host.toLowerCase();
  try {
    return new URL(`http://[${host}]`).hostname.slice(1, -1);
  } catch {
    return host;
  }
}

function isPair({ certPem, keyPem }: Credential): boolean {
  return new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem));
}

async function readText(path: string): Promise<string | null> {
  const bytes = await readSecretFile(path);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}
