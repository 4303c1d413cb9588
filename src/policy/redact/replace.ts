/**
 * What stands for a selected value. A selected object or array is masked as a whole, whatever the redaction keeps of text.
 *
 * `mask`: `"***"`, or with `keep` the domain of an e-mail address or the first or last characters beside it.
 * `pseudonym`: `"psn_<key id>_<22 characters>"`, base64url of the first 16 bytes of HMAC-SHA-256 over the unescaped text of a
 * string, or over the bytes of a number, `true`, `false` or `null`. Equal text gives equal pseudonyms, however it is escaped.
 */
import { createHmac } from "node:crypto";
import type { PseudonymKey } from "../../model/keys.ts";
import type { Redaction } from "../../model/schema/policy.ts";
import { escapeString, unescapeString } from "./text.ts";
import type { Workspace } from "./workspace.ts";

const QUOTE = 0x22;
const STAR = 0x2a;
const WHOLE = Uint8Array.from('"***"', (char) => char.charCodeAt(0));
const PSEUDONYM_BYTES = 16;

/** Writes the replacement of the value `[from, to)`; `broken` when its text holds half a surrogate pair. */
export type Replace = (workspace: Workspace, from: number, to: number) => "replaced" | "broken";

/**
 * How strictly a redaction hides a value, from 1 to 4: the strictest of several wins, in the order remove, mask, pseudonym,
 * mask that keeps a part.
 */
export function strengthOf(redaction: Redaction): number {
  if (redaction.with === "remove") return 4;
  if (redaction.with === "pseudonym") return 2;
  return redaction.keep === undefined ? 3 : 1;
}

/** What a redaction writes; `null` for one that removes. */
export function compileReplace(redaction: Redaction, key: PseudonymKey | undefined): Replace | null {
  if (redaction.with === "remove") return null;
  if (redaction.with === "pseudonym") return key === undefined ? maskWhole : pseudonym(key);
  const keep = redaction.keep;
  if (keep === undefined) return maskWhole;
  if (keep === "domain") return maskText(keepDomain);
  return maskText("first" in keep ? keepFirst(keep.first) : keepLast(keep.last));
}

function maskWhole(workspace: Workspace, from: number, to: number): "replaced" {
  workspace.replace(from, to, WHOLE, WHOLE.length);
  return "replaced";
}

/** The part `[from, to)` of a text that stays readable, and on which side of it the stars stand. Reused. */
interface Part {
  from: number;
  to: number;
  starsFirst: boolean;
}

/** Finds the part of `text[0, length)` that stays readable; `false` when nothing may. */
type Keep = (text: Uint8Array, length: number, part: Part) => boolean;

function maskText(keep: Keep): Replace {
  const part: Part = { from: 0, to: 0, starsFirst: false };
  let masked = new Uint8Array(256);
  return (workspace, from, to) => {
    if (workspace.bytes[from] !== QUOTE) return maskWhole(workspace, from, to);
    const text = workspace.textRoom(to - from);
    const length = unescapeString(workspace.bytes, from + 1, to - 1, text);
    if (length < 0) return "broken";
    if (!keep(text, length, part)) return maskWhole(workspace, from, to);
    const room = (part.to - part.from) * 6 + 5;
    if (room > masked.length) masked = new Uint8Array(room * 2);
    let end = 0;
    masked[end++] = QUOTE;
    if (part.starsFirst) end = writeStars(masked, end);
    end = escapeString(text, part.from, part.to, masked, end);
    if (!part.starsFirst) end = writeStars(masked, end);
    masked[end++] = QUOTE;
    workspace.replace(from, to, masked, end);
    return "replaced";
  };
}

function writeStars(target: Uint8Array, at: number): number {
  target[at] = STAR;
  target[at + 1] = STAR;
  target[at + 2] = STAR;
  return at + 3;
}

/** `@` and the domain of what looks like an e-mail address: one `@`, something before it, a domain name behind it. */
function keepDomain(text: Uint8Array, length: number, part: Part): boolean {
  let at = 0;
  while (at < length && text[at] !== 0x40) at++;
  if (at === 0 || at === length) return false;
  let lastDot = -1;
  for (let i = at + 1; i < length; i++) {
    const byte = text[i] as number;
    if (byte === 0x2e) {
      // No label is empty.
      if (i === at + 1 || lastDot === i - 1) return false;
      lastDot = i;
    } else if (!isDomainByte(byte)) return false;
  }
  // `localhost`, a telephone number or a user's handle is no domain.
  if (lastDot < 0 || lastDot === length - 1 || isDigit(text[lastDot + 1] as number)) return false;
  part.from = at;
  part.to = length;
  part.starsFirst = true;
  return true;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isDomainByte(byte: number): boolean {
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || isDigit(byte) || byte === 0x2d || byte >= 0x80;
}

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

function keepFirst(count: number): Keep {
  return (text, length, part) => {
    let left = count;
    for (let i = 0; i < length; i++) {
      if (isContinuation(text[i] as number) || left-- > 0) continue;
      part.from = 0;
      part.to = i;
      part.starsFirst = false;
      return true;
    }
    return false;
  };
}

function keepLast(count: number): Keep {
  return (text, length, part) => {
    let left = count;
    for (let i = length - 1; i > 0; i--) {
      if (isContinuation(text[i] as number) || --left > 0) continue;
      part.from = i;
      part.to = length;
      part.starsFirst = true;
      return true;
    }
    return false;
  };
}

function pseudonym(key: PseudonymKey): Replace {
  const prefix = `"psn_${key.id}_`;
  const secret = key.secret.slice();
  const written = new Uint8Array(prefix.length + 22 + 1);
  written.set(Uint8Array.from(prefix, (char) => char.charCodeAt(0)));
  written[written.length - 1] = QUOTE;
  return (workspace, from, to) => {
    const { bytes } = workspace;
    const first = bytes[from];
    if (first === 0x7b || first === 0x5b) return maskWhole(workspace, from, to);
    let text: Uint8Array = bytes;
    let start = from;
    let end = to;
    if (first === QUOTE) {
      text = workspace.textRoom(to - from);
      start = 0;
      end = unescapeString(bytes, from + 1, to - 1, text);
      if (end < 0) return "broken";
    }
    const digest = createHmac("sha256", secret).update(text.subarray(start, end)).digest();
    const short = digest.toString("base64url", 0, PSEUDONYM_BYTES);
    for (let i = 0; i < short.length; i++) written[prefix.length + i] = short.charCodeAt(i);
    workspace.replace(from, to, written, written.length);
    return "replaced";
  };
}
