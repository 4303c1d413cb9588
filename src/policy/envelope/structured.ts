/**
 * Structured events: one JSON object with the attributes and the data. It is read for where its members stand, so that data can
 * change while every other byte stays. What one reader could take otherwise than another is refused.
 * Source: CloudEvents 1.0, JSON event format.
 */
import { Buffer, isUtf8 } from "node:buffer";
import type { PayloadFailure } from "../payload.ts";
import { DEFAULT_MAX_BYTES, FAULT, failure } from "../redact/limits.ts";
import { Scanner } from "../redact/scan.ts";
import { isBlank } from "../redact/text.ts";
import type { Workspace } from "../redact/workspace.ts";
import { type Attributes, attributeProblem, invalid, isAttributeName, isJsonType } from "./attributes.ts";

/** Bytes `[from, to)` of the payload. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A structured event that was read. */
export interface StructuredEvent {
  readonly type: "ok";
  readonly attributes: Attributes;
  /** Where the values stand, of attributes and of data. */
  readonly spans: ReadonlyMap<string, Span>;
  /** The first place inside of the object. */
  readonly inside: number;
  /** The data's own bytes: what its value says, decoded where it is text or base64. Empty when there is none. */
  readonly data: Uint8Array;
  /** How the data stands in the event: as JSON, as text, as base64, or not at all. */
  readonly form: "json" | "text" | "base64" | "none";
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;
const NULL = 0x6e;
const MINUS = 0x2d;

export class StructuredReader {
  readonly #workspace: Workspace;
  readonly #scanner: Scanner;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  readonly #lenient = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#scanner = new Scanner(workspace);
  }

  /** Whether bytes are one JSON text in UTF-8. */
  isJson(data: Uint8Array): boolean {
    return this.#scanner.scan(data) === FAULT.ok;
  }

  /** Whether a payload is what receivers may take for a structured event, whatever its headers say. */
  looksStructured(payload: Uint8Array): boolean {
    let found = false;
    const read = this.#members(payload, (name) => {
      found ||= name === "specversion";
      return null;
    });
    return found && typeof read === "number";
  }

  /** Reads a payload. */
  read(payload: Uint8Array): StructuredEvent | PayloadFailure {
    const spans = new Map<string, Span>();
    const read = this.#members(payload, (name, from, to) => {
      if (!isAttributeName(name) && name !== "data_base64") {
        return invalid("CloudEvent has a member whose name no attribute can have");
      }
      if (spans.has(name)) return invalid("CloudEvent has two members of one name");
      spans.set(name, { from, to });
      return null;
    });
    if (typeof read !== "number") return read;
    const attributes = new Map<string, string>();
    for (const [name, span] of spans) {
      if (name === "data" || name === "data_base64") continue;
      if (payload[span.from] === NULL) continue;
      const value = this.#simple(payload, span);
      if (value === null) return invalid("CloudEvent has an attribute that is no text, integer or boolean");
      attributes.set(name, value);
    }
    const problem = attributeProblem(attributes);
    if (problem !== null) return problem;
    const data = this.#data(payload, spans, attributes);
    if (data.type === "failed") return data;
    return { type: "ok", attributes, spans, inside: read, data: data.bytes, form: data.form };
  }

  /** Says the name of each member of the object, and where its value stands. @returns the first place inside of the object */
  #members(
    payload: Uint8Array,
    visit: (name: string, from: number, to: number) => PayloadFailure | null,
  ): number | PayloadFailure {
    if (payload.length > DEFAULT_MAX_BYTES) return failure(FAULT.tooLarge, 0);
    this.#workspace.load(payload);
    const { bytes } = this.#workspace;
    const scanner = this.#scanner;
    let special = false;
    const blank = (from: number): number => {
      let at = from;
      while (isBlank(bytes[at] as number)) at++;
      return at;
    };
    let at = blank(0);
    if (bytes[at] !== OBJECT) return failure(FAULT.notJson, at);
    const inside = ++at;
    at = blank(at);
    if (bytes[at] === OBJECT_END) return invalid("CloudEvent has no specversion");
    for (;;) {
      if (bytes[at] !== QUOTE) return failure(FAULT.notJson, at);
      const start = at;
      at = scanner.skip(start, 1);
      if (at < 0) return failure(scanner.fault, scanner.at);
      special ||= scanner.special;
      // Bytes that are no UTF-8 are refused below.
      const name = wellFormed(this.#lenient.decode(bytes.subarray(start, at)));
      if (name === null) return failure(FAULT.brokenText, start);
      at = blank(at);
      if (bytes[at] !== COLON) return failure(FAULT.notJson, at);
      const from = blank(at + 1);
      at = scanner.skip(from, 1);
      if (at < 0) return failure(scanner.fault, scanner.at);
      special ||= scanner.special;
      const failed = visit(name, from, at);
      if (failed !== null) return failed;
      at = blank(at);
      if (bytes[at] === COMMA) {
        at = blank(at + 1);
        continue;
      }
      if (bytes[at] !== OBJECT_END) return failure(FAULT.notJson, at);
      at = blank(at + 1);
      if (at !== payload.length) return failure(FAULT.notJson, at);
      return special && !isUtf8(payload) ? failure(FAULT.notJson, -1) : inside;
    }
  }

  /** The value of an attribute; `null` when no attribute can have it. */
  #simple(payload: Uint8Array, { from, to }: Span): string | null {
    const first = payload[from] as number;
    const text = this.#decoder.decode(payload.subarray(from, to));
    if (first === QUOTE) return wellFormed(text);
    if (first === MINUS || (first >= 0x30 && first <= 0x39)) return /^-?\d+$/.test(text) ? text : null;
    return text === "true" || text === "false" ? text : null;
  }

  #data(
    payload: Uint8Array,
    spans: ReadonlyMap<string, Span>,
    attributes: Attributes,
  ): { type: "ok"; bytes: Uint8Array; form: StructuredEvent["form"] } | PayloadFailure {
    const plain = spans.get("data");
    const encoded = spans.get("data_base64");
    if (plain !== undefined && encoded !== undefined) {
      return invalid("CloudEvent has both data and data_base64");
    }
    if (encoded !== undefined) {
      const bytes = fromBase64(this.#simple(payload, encoded));
      if (bytes === null || payload[encoded.from] !== QUOTE)
        return invalid("CloudEvent has data_base64 that is no base64");
      return { type: "ok", bytes, form: "base64" };
    }
    if (plain === undefined) return { type: "ok", bytes: new Uint8Array(0), form: "none" };
    const value = payload.subarray(plain.from, plain.to);
    if (isJsonType(attributes.get("datacontenttype"))) return { type: "ok", bytes: value, form: "json" };
    const text = payload[plain.from] === QUOTE ? wellFormed(this.#decoder.decode(value)) : null;
    if (text === null) return invalid("CloudEvent has data that is neither text nor of a JSON type");
    return { type: "ok", bytes: new TextEncoder().encode(text), form: "text" };
  }
}

/** The text of a JSON string; `null` when it holds half a surrogate pair. */
function wellFormed(json: string): string | null {
  const text = JSON.parse(json) as string;
  return text.isWellFormed() ? text : null;
}

function fromBase64(text: string | null): Uint8Array | null {
  if (text === null) return null;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? new Uint8Array(bytes) : null;
}

/** One change of a payload: what stands in place of the bytes `[from, to)`. */
export interface Change extends Span {
  readonly bytes: Uint8Array;
}

/** A payload with changes, which do not overlap; the given array itself when there are none. */
export function splice(payload: Uint8Array, changes: readonly Change[]): Uint8Array {
  if (changes.length === 0) return payload;
  const sorted = changes.toSorted((a, b) => a.from - b.from);
  const length = sorted.reduce(
    (sum, { from, to, bytes }) => sum + bytes.length - (to - from),
    payload.length,
  );
  const out = new Uint8Array(length);
  let read = 0;
  let at = 0;
  for (const { from, to, bytes } of sorted) {
    out.set(payload.subarray(read, from), at);
    at += from - read;
    out.set(bytes, at);
    at += bytes.length;
    read = to;
  }
  out.set(payload.subarray(read), at);
  return out;
}

/**
 * What stands in place of an event's data after it was redacted.
 * @throws {TypeError} when the data is not there as JSON: no rule looks into it then
 */
export function dataChange({ spans, data: before, form }: StructuredEvent, data: Uint8Array): Change[] {
  if (data === before) return [];
  const span = spans.get("data");
  if (span === undefined || form !== "json") throw new TypeError("Data that is not JSON was changed");
  return [{ ...span, bytes: data }];
}
