/** What a site says of its rotation, signed so that nobody else can say it, and for one peer alone. */
import { LeafmeshError } from "../../model/errors.ts";
import { RotationStatement, rotationBytes, SignedRotation } from "../../model/rotation.ts";
import { type SigningKey, verifySignature } from "../../nats/keys.ts";

/** Signs with each of the keys. */
export function signRotation(statement: RotationStatement, keys: readonly SigningKey[]): SignedRotation {
  const text = JSON.stringify(statement);
  const signatures = keys.map((key) => ({
    key: key.publicKey,
    signature: Buffer.from(key.sign(rotationBytes(text))).toString("base64"),
  }));
  return { statement: text, signatures };
}

/** Who must have said it. */
export interface RotationSender {
  readonly site: string;
  readonly to: string;
  /** Keys of the sender that are trusted now. */
  readonly trusted: readonly string[];
}

/**
 * Reads a statement and checks its signatures: of a key that is trusted now, and of a new key by itself, which so cannot be
 * somebody else's.
 * @throws {LeafmeshError} `request_invalid`
 */
export function openRotation(body: unknown, sender: RotationSender): RotationStatement {
  const signed = SignedRotation.safeParse(body);
  if (!signed.success) throw refused("is not what the verb takes");
  const { statement: text, signatures } = signed.data;
  const bytes = rotationBytes(text);
  const signers = new Set(
    signatures
      .filter(({ key, signature }) => verifySignature(key, bytes, Buffer.from(signature, "base64")))
      .map(({ key }) => key),
  );
  const statement = parse(text);
  if (statement.site !== sender.site) throw refused(`is of ${statement.site}, not of ${sender.site}`);
  if (statement.to !== sender.to) throw refused(`is for ${statement.to}, not for ${sender.to}`);
  if (!sender.trusted.some((key) => signers.has(key)))
    throw refused("is not signed by the key that is trusted here");
  const { subject, step } = statement;
  if (subject.what === "key" && step === "announce" && !signers.has(subject.from))
    throw refused("is not signed by the key that it replaces");
  if (subject.what === "key" && !signers.has(subject.next)) throw refused("is not signed by the new key");
  return statement;
}

/** A refusal in words that the sender may hear. */
export function refused(what: string): LeafmeshError {
  return new LeafmeshError("request_invalid", `the rotation ${what}`);
}

function parse(text: string): RotationStatement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refused("is no JSON");
  }
  const parsed = RotationStatement.safeParse(value);
  if (!parsed.success) throw refused("says what none can say");
  return parsed.data;
}
