/**
 * What sidecars of two sites say to each other, signed with the sites' keys: a leaf link alone proves only who dialled,
 * so each side checks that the other holds the key that its configuration names.
 */
import { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { Name } from "../model/schema/scalars.ts";
import { type SigningKey, verifySignature } from "../nats/keys.ts";

const Message = z.strictObject({
  version: z.literal(1),
  from: Name,
  to: Name,
  /** Chosen by the asker and repeated in the answer: an old answer cannot be played again. */
  nonce: z.string().min(16).max(64),
  /** When it was signed, milliseconds since 1970 by the sender's clock. */
  at: z.int().nonnegative(),
  /** The request's verb, or `answer`. */
  verb: z.string().min(1).max(32),
  body: z.unknown(),
});
export type Message = z.infer<typeof Message>;

const Envelope = z.strictObject({ message: z.string(), key: z.string(), signature: z.string() });

/** A message as it crosses the link: its JSON text, the sender's public key, and the signature over the text. */
export function sealMessage(message: Message, key: SigningKey): string {
  const text = JSON.stringify(message);
  const signature = Buffer.from(key.sign(new TextEncoder().encode(text))).toString("base64");
  return JSON.stringify({ message: text, key: key.publicKey, signature });
}

/** Who must have sent a message, and what it must say. */
export interface Expected {
  readonly from: string;
  readonly to: string;
  readonly key: string;
  /** The key that takes its place, while it rotates. */
  readonly nextKey?: string | undefined;
  /** Where a message came from, for errors: `the site at nats-leaf://…`. */
  readonly sender: string;
  readonly nonce?: string;
}

/**
 * Opens a message and checks who sent it.
 * @throws {LeafmeshError} `peer_refused` saying what was expected and what came.
 */
export function openMessage(sealed: string, expected: Expected): Message {
  const refuse = (what: string) => new LeafmeshError("peer_refused", `${expected.sender} ${what}`);
  let envelope: z.infer<typeof Envelope>;
  let message: Message;
  try {
    envelope = Envelope.parse(JSON.parse(sealed));
    message = Message.parse(JSON.parse(envelope.message));
  } catch (error) {
    throw refuse(`sent what is no message between sidecars: ${errorText(error).slice(0, 200)}`);
  }
  if (message.from !== expected.from) {
    throw refuse(`says that it is ${message.from}; expected ${expected.from}`);
  }
  if (envelope.key !== expected.key && envelope.key !== expected.nextKey) {
    throw refuse(`signs as ${message.from} with key ${envelope.key}; expected ${expected.key}`);
  }
  const bytes = new TextEncoder().encode(envelope.message);
  if (!verifySignature(envelope.key, bytes, Buffer.from(envelope.signature, "base64"))) {
    throw refuse(`sent a message whose signature is not that of ${envelope.key}`);
  }
  if (message.to !== expected.to)
    throw refuse(`sent a message that is meant for ${message.to}, not ${expected.to}`);
  if (expected.nonce !== undefined) requireAnswer(message, expected.nonce, expected.sender);
  return message;
}

/** Checks that a message answers the question with this nonce. @throws {LeafmeshError} `peer_refused` */
export function requireAnswer(message: Message, nonce: string, sender: string): void {
  if (message.nonce !== nonce) {
    throw new LeafmeshError("peer_refused", `${sender} answered another question than the one asked`);
  }
}
