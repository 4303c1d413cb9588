/** What this site tells a peer of its rotation now, and by which of its keys and CAs. */
import { describeCertificate } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import type { Rotation, RotationKind, RotationStatement, SignedRotation } from "../../model/rotation.ts";
import type { SitePki } from "../../nats/pki/site_pki.ts";
import type { SiteKeyFiles } from "../../nats/site_key_files.ts";
import { signRotation } from "./statement.ts";

/** What rotates. */
export interface RotatingParts {
  readonly site: string;
  readonly key: SiteKeyFiles;
  /** `null`: links are plain. */
  readonly pki: SitePki | null;
}

/** The statement for a peer, signed. @throws {LeafmeshError} `key_invalid` when the new one is lost */
export async function rotationMessage(
  { site, key, pki }: RotatingParts,
  rotation: Rotation,
  peer: string,
): Promise<SignedRotation> {
  const retire = rotation.phase === "retire";
  const statement: RotationStatement = {
    version: 1,
    site,
    to: peer,
    epoch: rotation.epoch,
    step: retire ? "retire" : "announce",
    subject: await subjectOf({ key, pki }, rotation),
  };
  const next = rotation.what === "key" && !retire ? await key.next() : null;
  return signRotation(statement, next === null ? [key.current] : [key.current, next]);
}

/** Whether the new one is in use already. */
export function isSwitched({ key, pki }: Omit<RotatingParts, "site">, { what, next }: Rotation): boolean {
  return (what === "key" ? key.current.publicKey : pki?.fingerprint) === next;
}

/** Whether the new one is there, in use or not. */
export async function isThere(parts: Omit<RotatingParts, "site">, rotation: Rotation): Promise<boolean> {
  if (rotation.what === "certificate" || isSwitched(parts, rotation)) return true;
  if (rotation.what === "key") return (await parts.key.next())?.publicKey === rotation.next;
  const pem = parts.pki?.nextCaPem ?? null;
  return pem !== null && describeCertificate(pem).fingerprint === rotation.next;
}

/** As messages call it. */
export function nameOf(what: RotationKind): string {
  return what === "ca" ? "CA" : what === "key" ? "site key" : "certificate of the links";
}

/** For a new key or CA whose file is gone. */
export function lost(what: string, next: string): LeafmeshError {
  return new LeafmeshError(
    "key_invalid",
    `The new ${what} ${next} is not in the folder of keys any more: restore it from a backup, or give this rotation up ('leafmesh peer rotate --finish')`,
  );
}

async function subjectOf(
  { key, pki }: Omit<RotatingParts, "site">,
  { what, phase, from, next }: Rotation,
): Promise<RotationStatement["subject"]> {
  if (what === "key") {
    if (phase === "announce" && (await key.next())?.publicKey !== next) throw lost("site key", next);
    return { what, from, next };
  }
  const pem = (phase === "announce" ? pki?.nextCaPem : pki?.caPem) ?? null;
  if (pem === null || describeCertificate(pem).fingerprint !== next) throw lost("CA", next);
  return { what: "ca", from, next: pem };
}
