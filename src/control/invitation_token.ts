/**
 * The token that one site hands to another: who invites whom, where, until when, and the key that lets the bearer ask to
 * join, once. Its signature shows that nothing in it was changed on its way.
 */
import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { z } from "zod";
import { LeafmeshError } from "../model/errors.ts";
import { Address, CaCertificates, InvitationId, Name, PublicKey } from "../model/schema/scalars.ts";
import { type SigningKey, verifySignature } from "../nats/keys.ts";

const PREFIX = "lmi_";
/** What is signed begins with this, so that no other signature of a site is one of an invitation. */
const DOMAIN = "leafmesh invitation 1\n";
const MAX_LENGTH = 16 * 1024;

const Payload = z.strictObject({
  version: z.literal(1),
  id: InvitationId,
  /** The site that invites, and the one that is invited. */
  from: Name,
  to: Name,
  /** Leaf address of the inviting site. */
  address: Address,
  /** Its site key. */
  key: PublicKey,
  /** Seed of the key that logs in, once. */
  seed: z.string().regex(/^SU[A-Z2-7]{56}$/),
  /** Milliseconds since 1970. */
  expires: z.int().positive(),
  /** Where links are TLS: the CA of the inviting site, and a certificate of it for the bearer with its key. PEM. */
  tls: z.strictObject({ ca: CaCertificates, cert: z.string(), key: z.string() }).optional(),
});
/** What a token says. The seed and the certificate's key are secrets. */
export type InvitationPayload = z.infer<typeof Payload>;

/** The token, in characters that survive any shell and mail. */
export function sealInvitation(payload: InvitationPayload, key: SigningKey): string {
  const body = base64url(deflateRawSync(JSON.stringify(payload)));
  return `${PREFIX}${body}.${base64url(key.sign(signedBytes(body)))}`;
}

/**
 * What a token says, when it is whole.
 * @throws {LeafmeshError} `invitation_invalid`; nothing of the token is in the message
 */
export function openInvitation(token: string): InvitationPayload {
  // Line breaks come in where a mail or a terminal wraps.
  const text = token.replace(/\s+/g, "");
  if (text.length > MAX_LENGTH) throw invalid(`it is longer than ${MAX_LENGTH} characters`);
  const [body, signature, ...more] = text.startsWith(PREFIX) ? text.slice(PREFIX.length).split(".") : [];
  if (body === undefined || signature === undefined || more.length > 0)
    throw invalid("expected lmi_ and two parts, as 'leafmesh peer invite' has printed it");
  const parsed = Payload.safeParse(unpack(body));
  if (!parsed.success) throw invalid("a part of it is missing or was changed");
  const payload = parsed.data;
  const signed = Buffer.from(signature, "base64url");
  // Other characters that decode to the same bytes are no signature.
  if (base64url(signed) !== signature || !verifySignature(payload.key, signedBytes(body), signed))
    throw invalid("it was changed after it was made: its signature is not that of the site that it names");
  return payload;
}

function unpack(body: string): unknown {
  try {
    const packed = Buffer.from(body, "base64url");
    return JSON.parse(inflateRawSync(packed, { maxOutputLength: MAX_LENGTH }).toString("utf8"));
  } catch {
    return null;
  }
}

function signedBytes(text: string): Uint8Array {
  return new TextEncoder().encode(`${DOMAIN}${text}`);
}

function base64url(bytes: string | Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

function invalid(why: string): LeafmeshError {
  return new LeafmeshError("invitation_invalid", `This is no invitation: ${why}`);
}
