/** Reads certificates: what a CA that somebody hands over is, and until when it is good. */
import { createHash, X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
/** One, or while it rotates the old and the new one. */
const MAX_CAS = 2;
const MAX_PEM_LENGTH = 16 * 1024;

/** What a certificate says of itself. */
export interface CertificateInfo {
  readonly subject: string;
  /** SHA-256 of its public key (SPKI), hex: the same as long as the key is. */
  readonly fingerprint: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly isCa: boolean;
  /** Its other names, as `DNS:host`, `IP Address:…`, `URI:…`. */
  readonly names: readonly string[];
}

/** The certificates of a PEM text, each a text of its own. */
export function splitPem(pem: string): readonly string[] {
  return [...pem.matchAll(BLOCK)].map(([block]) => `${block}\n`);
}

/** @throws Error when it is no certificate; only the first one of the text counts */
export function describeCertificate(pem: string): CertificateInfo {
  const certificate = new X509Certificate(pem);
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return {
    subject: certificate.subject.replace(/^CN=/, ""),
    fingerprint: createHash("sha256").update(spki).digest("hex"),
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    isCa: certificate.ca,
    names: certificate.subjectAltName?.split(", ") ?? [],
  };
}

/** Why a PEM text is no CA of a peer; `null` when it is. What it holds is never repeated. */
export function caProblem(pem: string): string | null {
  if (/PRIVATE KEY/.test(pem)) return "holds a private key: give the certificate of the CA alone";
  if (pem.length > MAX_PEM_LENGTH) return `is longer than ${MAX_PEM_LENGTH} characters`;
  const rest = pem.replace(BLOCK, "").trim();
  const blocks = splitPem(pem);
  if (blocks.length === 0 || rest !== "") {
    return "is no certificate in PEM (expected -----BEGIN CERTIFICATE-----, as 'leafmesh ca show' prints it there)";
  }
  if (blocks.length > MAX_CAS) return `holds ${blocks.length} certificates, expected one or two`;
  for (const block of blocks) {
    try {
      const { isCa, subject } = describeCertificate(block);
      if (!isCa) return `holds the certificate of '${subject}', which is no CA`;
    } catch {
      return "holds a certificate that cannot be read";
    }
  }
  return null;
}
