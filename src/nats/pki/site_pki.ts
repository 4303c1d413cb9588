/**
 * The private CA of a site, and the certificate that it shows on its links. Peers trust this CA for this site alone;
 * nothing else does.
 */
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { type CertificateInfo, describeCertificate } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { type MayChange, prepareFolder, writeSecretFile } from "../files.ts";
import { keysFolder } from "../keys.ts";
import { isPair, loadCa, loadNextCa, makeNextCa, readCredential, readText, replaceCa } from "./ca_files.ts";
import { type Credential, issueApi, issueClient, issueLink } from "./certificates.ts";

const DAY_MS = 24 * 3_600_000;
const LINK_TTL_MS = 90 * DAY_MS;
/** A certificate is made anew when this part of its life is over. */
const RENEW_AFTER = 2 / 3;

/** Certificate and key of the link, in one file so that both are always a pair. */
const LINK_FILE = "link.pem";

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
  /** The CA that is to take its place. */
  #nextCa: Credential | null;
  #link: Credential;
  #mayChange: MayChange | undefined;

  private constructor(
    folder: string,
    options: SitePkiOptions,
    cas: { readonly ca: Credential; readonly next: Credential | null },
    link: Credential,
  ) {
    this.#folder = folder;
    this.#options = options;
    this.#ca = cas.ca;
    this.#nextCa = cas.next;
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
    const ca = await loadCa(folder, options.site, nowOf(options));
    const cas = { ca, next: await loadNextCa(folder) };
    const stored = await readText(join(folder, LINK_FILE));
    const there = stored === null ? null : readCredential(stored);
    if (there !== null && fits(there, ca, options)) return new SitePki(folder, options, cas, there);
    const pki = new SitePki(folder, options, cas, there ?? ca);
    await pki.renewLink();
    return pki;
  }

  /** From now on `mayChange` is asked before a file is changed. */
  guard(mayChange: MayChange): void {
    this.#mayChange = mayChange;
  }

  /** The certificate of the CA: what peers need of this site. Public. */
  get caPem(): string {
    return this.#ca.certPem;
  }

  /** Every CA of this site that its own certificates may be of: two while it rotates. Public. */
  get trustedPem(): string {
    return this.#ca.certPem + (this.#nextCa?.certPem ?? "");
  }

  /** The certificate of the CA that is to take the place of the one in use; `null`: there is none. Public. */
  get nextCaPem(): string | null {
    return this.#nextCa?.certPem ?? null;
  }

  /** Makes the next CA, whatever next one there was. @returns its certificate */
  async prepareCa(): Promise<string> {
    this.#nextCa = await makeNextCa(this.#folder, this.#options.site, nowOf(this.#options), this.#mayChange);
    return this.#nextCa.certPem;
  }

  /** Puts the next CA into the place of the one in use, and has it sign the certificate of the link. */
  async replaceCa(): Promise<void> {
    if (this.#nextCa === null) throw new LeafmeshError("internal", "There is no next CA");
    await replaceCa(this.#folder, this.#nextCa, this.#mayChange);
    this.#ca = this.#nextCa;
    this.#nextCa = null;
    await this.renewLink();
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
    return join(this.#folder, LINK_FILE);
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
    const link = await issueLink(this.#ca, names, {
      now: nowOf(this.#options),
      ttlMs: linkTtlMs ?? LINK_TTL_MS,
    });
    await writeSecretFile(this.linkFile, link.certPem + link.keyPem, "replace", this.#mayChange);
    this.#link = link;
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
