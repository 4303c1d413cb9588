/** Whether a rule that looks into payloads may look into this one, and the parsed payload for conditions. */
import type { QuarantineReason } from "../model/event.ts";
import { UNREADABLE } from "./cel/values.ts";
import { ascii, type HeaderCursor } from "./header_block.ts";
import { FAULT, failure } from "./redact/limits.ts";
import { Scanner } from "./redact/scan.ts";
import { Workspace } from "./redact/workspace.ts";

export interface PayloadFailure {
  readonly type: "failed";
  readonly reason: QuarantineReason;
  /** Holds nothing of the payload. */
  readonly error: string;
}

const CONTENT_ENCODING = ascii("content-encoding");
const CONTENT_TYPE = ascii("content-type");
const PLAIN_JSON = ascii("application/json");
const JSON_TYPE = /^(?:application\/(?:[\w!#$&^.+-]+\+)?json|text\/json)[ \t]*(?:;|$)/i;
/** JSON is UTF-8. Whoever reads it in another encoding may see other names. */
const OTHER_CHARSET = /charset(?![ \t]*=[ \t]*"?(?:utf-?8|us-ascii)"?[ \t]*(?:;|$))/i;

/** Why a payload cannot be looked into, by its headers and first bytes; `null` when nothing speaks against JSON. */
export function payloadObstacle(
  block: Uint8Array,
  data: Uint8Array,
  cursor: HeaderCursor,
): PayloadFailure | null {
  cursor.start(block);
  while (cursor.next()) {
    if (cursor.isNamedLike(CONTENT_ENCODING)) {
      if (cursor.value().toLowerCase() !== "identity") {
        return failed("payload_compressed", "Header Content-Encoding says that the payload is encoded");
      }
    } else if (cursor.isNamedLike(CONTENT_TYPE)) {
      // Nearly always this very text, which is not worth a string.
      if (cursor.hasValue(PLAIN_JSON)) continue;
      const type = cursor.value();
      if (JSON_TYPE.test(type) && !OTHER_CHARSET.test(type)) continue;
      return failed(
        "content_type_unsupported",
        "Header Content-Type says that the payload is not JSON in UTF-8",
      );
    }
  }
  if (cursor.invalid) return failed("header_invalid", "Header block is malformed");
  const gzip = data[0] === 0x1f && data[1] === 0x8b;
  const zstd = data[0] === 0x28 && data[1] === 0xb5 && data[2] === 0x2f && data[3] === 0xfd;
  return gzip || zstd ? failed("payload_compressed", "Payload begins as gzip or zstd data does") : null;
}

function failed(reason: QuarantineReason, error: string): PayloadFailure {
  return { type: "failed", reason, error };
}

/** A payload that was parsed as JSON.parse does it. */
export interface PlainPayload {
  readonly type: "ok";
  readonly text: string;
  /** Not to be changed: all that look into an event are given the same. */
  readonly value: unknown;
  /** An object has two members of one name. */
  readonly repeats: boolean;
  readonly hasNumbers: boolean;
  /** A number is no double, or is an integer that a double may not hold. */
  readonly hasLarge: boolean;
}

export type ParsedPayload = { readonly type: "ok"; readonly value: unknown } | PayloadFailure;

/**
 * Parses payloads for conditions and contracts: once for each event that `begin` and `end` enclose, however many look into it.
 */
export class PayloadParser {
  readonly #scanner: Scanner;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #keeps = false;
  /** What was parsed last between `begin` and `end`: envelopes may hold other bytes for one rule than for the next. */
  #data: Uint8Array | null = null;
  #plain: PlainPayload | PayloadFailure | null = null;
  #parsed: ParsedPayload | null = null;

  constructor(workspace: Workspace = new Workspace()) {
    this.#scanner = new Scanner(workspace);
  }

  /** Begins with an event: bytes that are parsed are not parsed again, and must not change, until `end`. */
  begin(): void {
    this.#keeps = true;
  }

  /** The event is decided. */
  end(): void {
    this.#keeps = false;
    this.#forget();
  }

  /** A payload that is JSON in UTF-8 within the bounds, or why it is not. May throw where the runtime's own parser does. */
  plain(data: Uint8Array): PlainPayload | PayloadFailure {
    if (this.#data === data && this.#plain !== null) return this.#plain;
    this.#forget();
    const plain = this.#read(data);
    if (this.#keeps) {
      this.#data = data;
      this.#plain = plain;
    }
    return plain;
  }

  /**
   * The payload as a condition sees it. An object with two members of one name is refused: receivers differ in which one they
   * take, so a condition on it proves nothing. Integers too large for a double become `bigint` where 64 bits hold them; a number
   * that neither can hold becomes one that cannot be read. May throw where the runtime's own parser does.
   */
  parse(data: Uint8Array): ParsedPayload {
    const plain = this.plain(data);
    if (plain.type === "failed") return plain;
    if (this.#parsed !== null) return this.#parsed;
    const parsed = exact(plain);
    if (this.#keeps) this.#parsed = parsed;
    return parsed;
  }

  #read(data: Uint8Array): PlainPayload | PayloadFailure {
    const fault = this.#scanner.scan(data);
    if (fault !== FAULT.ok) return failure(fault, this.#scanner.at);
    const text = this.#decoder.decode(data);
    const value: unknown = JSON.parse(text);
    const { members, hasNumbers, hasLarge } = inspect(value);
    return { type: "ok", text, value, repeats: members !== this.#scanner.members, hasNumbers, hasLarge };
  }

  #forget(): void {
    this.#data = null;
    this.#plain = null;
    this.#parsed = null;
  }
}

function exact({ text, value, repeats, hasLarge }: PlainPayload): ParsedPayload {
  if (repeats) return failed("predicate_failed", "An object of the payload has two members of one name");
  if (!hasLarge) return { type: "ok", value };
  const reviver = exactInteger as (this: unknown, key: string, value: unknown) => unknown;
  return { type: "ok", value: JSON.parse(text, reviver) };
}

/** Reviver with the source text of a number (ECMAScript 2026, `JSON.parse` source text access). */
function exactInteger(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number" || !isLarge(value)) return value;
  // Beyond what a double can hold: two such numbers would be equal.
  if (!Number.isFinite(value)) return UNREADABLE.number;
  const source = context?.source ?? "";
  if (!/^-?[0-9]+$/.test(source)) return value;
  const exact = BigInt(source);
  return BigInt.asIntN(64, exact) === exact ? exact : UNREADABLE.number;
}

function isLarge(value: number): boolean {
  return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value));
}

/** Counts the members of all objects of a parsed value, without recursion, and looks for numbers. */
function inspect(root: unknown): { members: number; hasNumbers: boolean; hasLarge: boolean } {
  let members = 0;
  let hasNumbers = false;
  let hasLarge = false;
  const open: object[] = [];
  const visit = (value: unknown): void => {
    if (typeof value === "number") {
      hasNumbers = true;
      hasLarge ||= isLarge(value);
    } else if (typeof value === "object" && value !== null) open.push(value);
  };
  visit(root);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (Array.isArray(next)) for (const value of next) visit(value);
    else {
      const names = Object.keys(next);
      members += names.length;
      for (const name of names) visit((next as Readonly<Record<string, unknown>>)[name]);
    }
  }
  return { members, hasNumbers, hasLarge };
}
