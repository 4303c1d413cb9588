/**
 * What a site that was invited says to the one that invited it, over the connection that the token opens. Signed twice: with
 * the site key that is to be trusted, and with the token's key, so that nobody in between can put his own key in.
 */
import { Buffer } from "node:buffer";
import { z } from "zod";
import { type ErrorCode, errorTitle, LeafmeshError } from "../model/errors.ts";
import { Address, PublicKey } from "../model/schema/scalars.ts";
import { ServerCount } from "../model/schema/site.ts";
import { type SigningKey, verifySignature } from "../nats/keys.ts";
import { type Message, openMessage, sealMessage } from "./envelope.ts";

const DOMAIN = "leafmesh join 1\n";

const Request = z.strictObject({ sealed: z.string(), proof: z.string() });
const Envelope = z.looseObject({ key: PublicKey });

/** What is asked: to be made a peer; then, that this has been done at the other side too. */
export const JoinBody = z.strictObject({
  invitation: z.string(),
  /** The CA of the site that joins, PEM, where links are TLS. */
  ca: z
    .string()
    .max(16 * 1024)
    .optional(),
  /** Where the inviting site is to dial it; without it, it dials. */
  dialBack: Address.optional(),
  /** How many servers it is, where they are several. */
  servers: ServerCount.optional(),
});
export type JoinBody = z.infer<typeof JoinBody>;

/** The answer: done, or why not. */
export const JoinAnswer = z.union([
  z.strictObject({ joined: z.literal(true) }),
  z.strictObject({ code: z.string(), error: z.string() }),
]);
export type JoinAnswer = z.infer<typeof JoinAnswer>;

/** A request as it crosses. */
export function sealJoin(message: Message, site: SigningKey, token: SigningKey): string {
  const sealed = sealMessage(message, site);
  const proof = Buffer.from(token.sign(bytesOf(sealed))).toString("base64");
  return JSON.stringify({ sealed, proof });
}

/**
 * Opens a request of the site that an invitation is for.
 * @returns the message and the site key that has signed it
 * @throws {LeafmeshError} `peer_refused`
 */
export function openJoin(
  text: string,
  expected: { readonly from: string; readonly to: string; readonly tokenKey: string },
): { readonly key: string; readonly message: Message } {
  const sender = "the site that joins";
  try {
    const { sealed, proof } = Request.parse(JSON.parse(text));
    if (!verifySignature(expected.tokenKey, bytesOf(sealed), Buffer.from(proof, "base64")))
      throw new LeafmeshError("peer_refused", `${sender} does not hold the invitation`);
    const { key } = Envelope.parse(JSON.parse(sealed));
    return { key, message: openMessage(sealed, { from: expected.from, to: expected.to, key, sender }) };
  } catch (error) {
    if (error instanceof LeafmeshError) throw error;
    throw new LeafmeshError("peer_refused", `${sender} sent what is no request to join`);
  }
}

/** Codes that the inviting site may answer with; others are its own failures. */
const TOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "peer_refused",
  "peer_revoked",
  "conflict",
  "invitation_used",
  "invitation_expired",
  "request_invalid",
]);

/** A refusal as it is told: nothing of what else the site has. */
export function refusalOf(error: unknown): JoinAnswer {
  if (error instanceof LeafmeshError && TOLD.has(error.code))
    return { code: error.code, error: error.message };
  return { code: "internal", error: "it could not make the peer, see its log" };
}

/** The error that a refusal stands for. */
export function errorOfRefusal(
  site: string,
  answer: { readonly code: string; readonly error: string },
): LeafmeshError {
  const known = [...TOLD].find((code) => code === answer.code);
  const text = `${site} refuses: ${answer.error.slice(0, 500)}`;
  return new LeafmeshError(
    known ?? "peer_refused",
    known === undefined ? `${text} (${errorTitle("internal")})` : text,
  );
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(`${DOMAIN}${text}`);
}
