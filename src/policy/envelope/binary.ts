/** The headers of a message as an envelope sees them: attributes of a binary event, and what the message says of its payload. */
import { ascii, type HeaderCursor } from "../header_block.ts";
import type { PayloadFailure } from "../payload.ts";
import { type Attributes, encodeValue, invalid, isAttributeName, PREFIX } from "./attributes.ts";

const CE = ascii(PREFIX);
const CONTENT_TYPE = ascii("content-type");
const CONTENT_ENCODING = ascii("content-encoding");
const TRACEPARENT = ascii("traceparent");
const TRACESTATE = ascii("tracestate");

/** What stands in a header block. */
export interface EnvelopeHeaders {
  readonly type: "ok";
  /** Values of `ce-` headers as they stand there, by attribute name. */
  readonly attributes: Attributes;
  readonly contentType: string | undefined;
  readonly compressed: boolean;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

/** Reads a block. A header that should stand there once, and stands there twice, is refused: readers take either. */
export function readEnvelopeHeaders(
  block: Uint8Array,
  cursor: HeaderCursor,
): EnvelopeHeaders | PayloadFailure {
  const attributes = new Map<string, string>();
  let contentType: string | undefined;
  let compressed = false;
  let traceparent: string | undefined;
  let tracestate: string | undefined;
  cursor.start(block);
  while (cursor.next()) {
    if (cursor.hasPrefixLike(CE)) {
      const name = cursor.name().slice(PREFIX.length).toLowerCase();
      // Data is no attribute, in this mode neither.
      if (!isAttributeName(name) || name === "data")
        return invalid("A ce- header has a name that no attribute can have");
      if (attributes.has(name)) return invalid("A ce- header stands there twice");
      attributes.set(name, cursor.value());
    } else if (cursor.isNamedLike(CONTENT_TYPE)) {
      if (contentType !== undefined) return invalid("Header Content-Type stands there twice");
      contentType = cursor.value();
    } else if (cursor.isNamedLike(CONTENT_ENCODING)) {
      compressed ||= cursor.value().toLowerCase() !== "identity";
    } else if (cursor.isNamedLike(TRACEPARENT)) traceparent ??= cursor.value();
    else if (cursor.isNamedLike(TRACESTATE)) tracestate ??= cursor.value();
  }
  if (cursor.invalid) return { type: "failed", reason: "header_invalid", error: "Header block is malformed" };
  return { type: "ok", attributes, contentType, compressed, traceparent, tracestate };
}

/** Which lines of a block are left out when it is written anew. */
export interface BlockChange {
  /** All `ce-` headers go. */
  readonly withoutAttributes: boolean;
  readonly withoutContentType: boolean;
  /** Attributes to leave out and to add, in this order; values are not encoded yet. */
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly contentType: string | null;
}

const VERSION = "NATS/1.0\r\n";

/**
 * A block with other attributes. Lines that stay keep their bytes; only the name of a `ce-` header is written in lower case, as
 * readers look for it.
 */
export function changeBlock(block: Uint8Array, change: BlockChange, cursor: HeaderCursor): Uint8Array {
  const replaced = new Set(change.attributes.map(([name]) => name));
  const parts: Uint8Array[] = [ascii(VERSION)];
  cursor.start(block);
  while (cursor.next()) {
    if (cursor.hasPrefixLike(CE)) {
      const name = cursor.name().toLowerCase();
      if (change.withoutAttributes || replaced.has(name.slice(PREFIX.length))) continue;
      parts.push(ascii(name), block.subarray(cursor.nameTo, cursor.lineTo));
      continue;
    }
    if (change.withoutContentType && cursor.isNamedLike(CONTENT_TYPE)) continue;
    parts.push(block.subarray(cursor.lineFrom, cursor.lineTo));
  }
  if (change.contentType !== null) parts.push(ascii(`Content-Type: ${change.contentType}\r\n`));
  for (const [name, value] of change.attributes)
    parts.push(ascii(`${PREFIX}${name}: ${encodeValue(value)}\r\n`));
  parts.push(ascii("\r\n"));
  return joined(parts);
}

/** Bytes one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
