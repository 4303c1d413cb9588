/** Makes certificates: of a site's own CA, of its end of the links, of clients that it invites. ECDSA P-256, no files. */
import { isIP } from "node:net";
import type { Extension, X509Certificate } from "./x509.ts";

/** The library, loaded when a certificate is made: most starts make none, and it costs them a tenth of a second. */
const library = () => import("./x509.ts");

const CURVE = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
const SERIAL_BYTES = 16;
/** Clocks of two sites differ: a certificate is good this long before it was made. */
const SKEW_MS = 60 * 60_000;

/** A certificate with its private key, both PEM. The key is secret: it stands in files of mode 0600 alone. */
export interface Credential {
  readonly certPem: string;
  readonly keyPem: string;
}

/** From when, and for how long. */
export interface Validity {
  readonly now: Date;
  readonly ttlMs: number;
}

/** What a certificate of this site's end of a link says. */
export interface LinkNames {
  readonly site: string;
  /** Host names and addresses that peers dial. */
  readonly hosts: readonly string[];
}

/** Makes a CA of a site, which signs certificates of links and clients, and no other CA. */
export async function createCa(site: string, { now, ttlMs }: Validity): Promise<Credential> {
  const {
    BasicConstraintsExtension,
    KeyUsageFlags,
    KeyUsagesExtension,
    SubjectAlternativeNameExtension,
    SubjectKeyIdentifierExtension,
    X509CertificateGenerator,
  } = await library();
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [`${site} link CA`] }],
    keys,
    ...period(now, ttlMs),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      new SubjectAlternativeNameExtension([{ type: "url", value: siteUri(site) }]),
    ],
  });
  return { certPem: pemOf(certificate), keyPem: await exportKey(keys.privateKey) };
}

/** A certificate for the site's end of its links: to be dialled as any of the hosts, and to dial. */
export async function issueLink(ca: Credential, names: LinkNames, validity: Validity): Promise<Credential> {
  const { ExtendedKeyUsage, ExtendedKeyUsageExtension, SubjectAlternativeNameExtension } = await library();
  const hosts = [...new Set(names.hosts)];
  return await issue(ca, names.site, validity, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension([
      ...hosts.map((host) => ({ type: isIP(host) === 0 ? "dns" : "ip", value: host }) as const),
      { type: "url", value: siteUri(names.site) },
    ]),
  ]);
}

/** A certificate to be reached with as any of the hosts, by clients of the API; it is of no end of a link. */
export async function issueApi(ca: Credential, names: LinkNames, validity: Validity): Promise<Credential> {
  const { ExtendedKeyUsage, ExtendedKeyUsageExtension, SubjectAlternativeNameExtension } = await library();
  const hosts = [...new Set(names.hosts)];
  return await issue(ca, `${names.site} API`, validity, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(
      hosts.map((host) => ({ type: isIP(host) === 0 ? "dns" : "ip", value: host }) as const),
    ),
  ]);
}

/** A certificate that dials this site and that nobody can be dialled with. */
export async function issueClient(
  ca: Credential,
  commonName: string,
  validity: Validity,
): Promise<Credential> {
  const { ExtendedKeyUsage, ExtendedKeyUsageExtension, SubjectAlternativeNameExtension } = await library();
  return await issue(ca, commonName, validity, [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension([{ type: "url", value: `leafmesh:client:${commonName}` }]),
  ]);
}

/** The name of a site in its certificates. */
export const siteUri = (site: string): string => `leafmesh:site:${site}`;

async function issue(
  ca: Credential,
  commonName: string,
  { now, ttlMs }: Validity,
  extensions: readonly Extension[],
): Promise<Credential> {
  const {
    AuthorityKeyIdentifierExtension,
    BasicConstraintsExtension,
    KeyUsageFlags,
    KeyUsagesExtension,
    SubjectKeyIdentifierExtension,
    X509Certificate,
    X509CertificateGenerator,
  } = await library();
  const issuer = new X509Certificate(ca.certPem);
  const keys = await generateKeys();
  const { notBefore, notAfter } = period(now, ttlMs);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [commonName] }],
    issuer: issuer.subject,
    notBefore,
    // What outlives its CA is not trusted anyway.
    notAfter: new Date(Math.min(notAfter.getTime(), issuer.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.keyPem),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
      ...extensions,
    ],
  });
  return { certPem: pemOf(certificate), keyPem: await exportKey(keys.privateKey) };
}

function period(now: Date, ttlMs: number): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(now.getTime() - SKEW_MS), notAfter: new Date(now.getTime() + ttlMs) };
}

/** A positive random number, in hex. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SERIAL_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(CURVE, true, ["sign", "verify"]);
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString("pem").trim()}\n`;
}

async function exportKey(key: CryptoKey): Promise<string> {
  const { PemConverter } = await library();
  const der = await crypto.subtle.exportKey("pkcs8", key);
  return `${PemConverter.encode(der, PemConverter.PrivateKeyTag).trim()}\n`;
}

async function importKey(pem: string): Promise<CryptoKey> {
  const { PemConverter } = await library();
  const [der] = PemConverter.decode(pem);
  return await crypto.subtle.importKey("pkcs8", der ?? new ArrayBuffer(0), CURVE, false, ["sign"]);
}
