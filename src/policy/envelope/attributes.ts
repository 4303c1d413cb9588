/**
 * The attributes of a CloudEvent, and their values as headers of NATS have them.
 * Source: CloudEvents 1.0, NATS protocol binding, which takes the encoding of values from the HTTP binding (section 3.1.3.2).
 */
import type { PayloadFailure } from "../payload.ts";

/** Values by attribute name, decoded. Integers and booleans are their JSON text. */
export type Attributes = ReadonlyMap<string, string>;

export const PREFIX = "ce-";
/** The media type of structured events. */
export const STRUCTURED_TYPE = "application/cloudevents+json";
/** Every event has these. */
const REQUIRED = ["specversion", "id", "source", "type"];

/** Whether `name` can be that of an attribute: a reader that ignores case sees no two names in one. */
export function isAttributeName(name: string): boolean {
  return /^[a-z0-9]+$/.test(name);
}

/** Why attributes are no CloudEvent of version 1.0; `null` when they are one. */
export function attributeProblem(attributes: Attributes): PayloadFailure | null {
  const missing = REQUIRED.find((name) => (attributes.get(name) ?? "") === "");
  if (missing !== undefined) return invalid(`CloudEvent has no ${missing}`);
  return attributes.get("specversion") === "1.0" ? null : invalid("CloudEvent is not of version 1.0");
}

/** A failure of the envelope. */
export function invalid(error: string): PayloadFailure {
  return { type: "failed", reason: "envelope_invalid", error };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A value as a header has it: white space, quotes, percent signs and what is not printable ASCII as `%` and two digits. */
export function encodeValue(value: string): string {
  if (/^[!#$&-~]*$/.test(value)) return value;
  let out = "";
  for (const byte of new TextEncoder().encode(value)) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/** The value that a header has; `null` when it cannot be decoded. */
export function decodeValue(header: string): string | null {
  let text = header;
  // Older versions of the binding quoted values.
  if (text.length > 1 && text.startsWith('"') && text.endsWith('"')) {
    text = text.slice(1, -1).replace(/\\(.)/g, "$1");
  }
  if (!text.includes("%")) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; ) {
    if (text[i] === "%") {
      const digits = text.slice(i + 1, i + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return null;
      bytes.push(Number.parseInt(digits, 16));
      i += 3;
      continue;
    }
    const point = String.fromCodePoint(text.codePointAt(i) ?? 0);
    bytes.push(...new TextEncoder().encode(point));
    i += point.length;
  }
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}

/** Whether data of a media type is JSON: of none, it is. */
export function isJsonType(type: string | undefined): boolean {
  return type === undefined || /^[^\s/;]+\/(?:[^\s/;]+\+)?json[ \t]*(?:;|$)/i.test(type);
}
