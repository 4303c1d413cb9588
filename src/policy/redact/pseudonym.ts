/**
 * Pseudonyms: `psn_<key id>_<22 characters>`, base64url of the first 16 bytes of HMAC-SHA-256 over the unescaped text of a
 * string, or over the bytes of a number, `true`, `false` or `null`. Equal text gives equal pseudonyms, however it is escaped.
 */
import { createHmac } from "node:crypto";
import type { PseudonymKey } from "../../model/keys.ts";
import type { WriteText } from "./mask.ts";

const PSEUDONYM_BYTES = 16;

/** The pseudonym of a text. */
export function pseudonymText(key: PseudonymKey): WriteText {
  const prefix = `psn_${key.id}_`;
  const secret = key.secret.slice();
  return (text, from, to, out) => {
    const digest = createHmac("sha256", secret).update(text.subarray(from, to)).digest();
    out.ascii(prefix);
    out.ascii(digest.toString("base64url", 0, PSEUDONYM_BYTES));
  };
}
