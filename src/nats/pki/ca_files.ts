/** The CA of a site in its folder of keys, and while it rotates the next one beside it. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { describeCertificate } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { type MayChange, readSecretFile, syncFolder, writeSecretFile } from "../files.ts";
import { type Credential, createCa } from "./certificates.ts";

const DAY_MS = 24 * 3_600_000;
const CA_TTL_MS = 3650 * DAY_MS;

/** Names of the files. A key stands in one file with its certificate, so that both are always a pair. */
const FILES = { ca: "ca.pem", caKey: "ca.key", nextCaKey: "ca.next.key" } as const;

/** Reads the CA of a site, and makes it where there was none. @throws LeafmeshError `key_invalid` */
export async function loadCa(folder: string, site: string, now: Date): Promise<Credential> {
  const [certFile, keyFile] = [join(folder, FILES.ca), join(folder, FILES.caKey)];
  const [shown, stored] = [await readText(certFile), await readText(keyFile)];
  if (stored === null) {
    if (shown !== null) throw noCa(folder, FILES.caKey, "it is missing");
    const ca = await createCa(site, { now, ttlMs: CA_TTL_MS });
    // Both in one file, so that they always belong together; the certificate also alone, to be handed out.
    await writeSecretFile(keyFile, ca.certPem + ca.keyPem, "replace");
    await writeSecretFile(certFile, ca.certPem, "replace");
    return ca;
  }
  const ca = checkedCa(folder, FILES.caKey, stored);
  if (shown !== ca.certPem) await writeSecretFile(certFile, ca.certPem, "replace");
  return ca;
}

/** The CA that is to take the place of the one in use; `null`: there is none. @throws LeafmeshError `key_invalid` */
export async function loadNextCa(folder: string): Promise<Credential | null> {
  const stored = await readText(join(folder, FILES.nextCaKey));
  return stored === null ? null : checkedCa(folder, FILES.nextCaKey, stored);
}

/** Makes the next CA. */
export async function makeNextCa(
  folder: string,
  site: string,
  now: Date,
  mayChange?: MayChange,
): Promise<Credential> {
  const ca = await createCa(site, { now, ttlMs: CA_TTL_MS });
  await writeSecretFile(join(folder, FILES.nextCaKey), ca.certPem + ca.keyPem, "replace", mayChange);
  return ca;
}

/** Puts the next CA into the place of the one in use, which is gone then. */
export async function replaceCa(folder: string, next: Credential, mayChange?: MayChange): Promise<void> {
  await mayChange?.();
  await rename(join(folder, FILES.nextCaKey), join(folder, FILES.caKey));
  await syncFolder(join(folder, FILES.caKey));
  await writeSecretFile(join(folder, FILES.ca), next.certPem, "replace", mayChange);
}

/** Certificate and key of one file; `null` when it holds something else. */
export function readCredential(text: string): Credential | null {
  const at = text.indexOf("-----BEGIN PRIVATE KEY-----");
  if (at < 0) return null;
  return { certPem: text.slice(0, at), keyPem: text.slice(at) };
}

/** Whether the key is that of the certificate. */
export function isPair({ certPem, keyPem }: Credential): boolean {
  return new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem));
}

/** Text of a secret file; `null` when it is not there. */
export async function readText(path: string): Promise<string | null> {
  const bytes = await readSecretFile(path);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function checkedCa(folder: string, file: string, stored: string): Credential {
  const ca = readCredential(stored);
  try {
    if (ca === null || !isPair(ca)) throw noCa(folder, file, "expected a certificate and its private key");
    if (!describeCertificate(ca.certPem).isCa) throw noCa(folder, file, "its certificate is of no CA");
    return ca;
  } catch (thrown) {
    throw thrown instanceof LeafmeshError ? thrown : noCa(folder, file, "it cannot be read");
  }
}

function noCa(folder: string, file: string, what: string): LeafmeshError {
  const remedy =
    file === FILES.nextCaKey
      ? "remove it: the rotation begins anew"
      : `remove it and ${join(folder, FILES.ca)} to get a new CA, which every peer then needs`;
  return new LeafmeshError(
    "key_invalid",
    `${join(folder, file)} holds no CA of this site (${what}): restore it from a backup, or ${remedy}`,
  );
}
