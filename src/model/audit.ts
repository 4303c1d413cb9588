/**
 * The audit trail's records: what they hold, how they are chained, and how a chain is verified. Pure: it works on an exported
 * file as on the stream.
 *
 * A record's hash covers all of it but the hash itself and the signature; `prev` is the hash of the record before. Each is signed
 * with the site's key, so that a chain that was made anew is not taken for ours.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { verifyEd25519 } from "./nkey.ts";
import type { Principal } from "./principal.ts";

/** Who did it: a principal of the API, a peer's sidecar, or this sidecar itself. */
export type Actor =
  | Principal
  | { readonly type: "peer"; readonly name: string }
  | { readonly type: "sidecar"; readonly name: string };

/**
 * `intent` comes before a change, `change` names a document with what it was and will be, `result` says how it ended; `denial` is
 * what was refused to somebody, `event` what the site did or met by itself.
 */
export const RECORD_TYPES = ["intent", "change", "result", "denial", "event"] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

/** What is told of something; the trail adds place, time and chain. No secrets: {@link withoutSecretFields}. */
export interface AuditEntry {
  readonly type: RecordType;
  readonly who: Actor | null;
  /** Address of the client, or the link. */
  readonly from: string | null;
  readonly operation: string;
  readonly target: string;
  /** Of a `change` or `result`: `seq` of the intent that it belongs to. */
  readonly of?: number;
  /** What was asked for, of an intent. */
  readonly asked?: unknown;
  readonly before?: unknown;
  readonly after?: unknown;
  readonly result?: string;
  /** Of a denial: how many there were. */
  readonly count?: number;
}

const Hash = z.string().regex(/^[0-9a-f]{64}$/);
/** A record as it is stored and exported. Fields of later versions are kept: the hash covers them. */
export const AuditRecord = z.looseObject({
  v: z.literal(1),
  seq: z.int().positive(),
  at: z.string(),
  site: z.string(),
  type: z.enum(RECORD_TYPES),
  who: z.looseObject({ type: z.string(), name: z.string() }).nullable(),
  from: z.string().nullable(),
  operation: z.string(),
  target: z.string(),
  of: z.int().optional(),
  asked: z.unknown().optional(),
  before: z.unknown().optional(),
  after: z.unknown().optional(),
  result: z.string().optional(),
  count: z.int().optional(),
  prev: Hash,
  /** Public key that `sig` is of. */
  key: z.string(),
  hash: Hash,
  /** Ed25519 over {@link signedBytes}, base64. */
  sig: z.string(),
});
export type AuditRecord = z.infer<typeof AuditRecord>;

/** Where a chain stands: the number and hash of its last record. */
export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}

/** Operation of the event that names the key by which the site signs from then on (`after.key`). */
export const KEY_ROTATED = "site.key.rotated";

/** What the first record of a site's trail has as `prev`. */
export function genesis(site: string): string {
  return sha256(`leafmesh audit of ${site}`);
}

/** JSON with sorted keys and without `undefined`: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The hash of a record, whatever its own fields `hash` and `sig` say. */
export function recordHash(record: object): string {
  const { hash: _hash, sig: _sig, ...rest } = record as Record<string, unknown>;
  return sha256(canonicalJson(rest));
}

/** What a signature of a record is over. */
export function signedBytes(hash: string): Uint8Array {
  return new TextEncoder().encode(`leafmesh audit\n${hash}`);
}

/** What verifying a trail needs beside its records. */
export interface VerifyOptions {
  /** Public site keys that may sign; a rotation that one of them signs adds the new one. */
  readonly keys: readonly string[];
  /** A head that was noted elsewhere: the trail must hold it. */
  readonly head?: ChainHead;
}

/** How a verification ended. */
export interface VerifyReport {
  readonly ok: boolean;
  readonly records: number;
  readonly first: ChainHead | null;
  readonly head: ChainHead | null;
  /** The first record that is broken: its line, its number as it says itself, and what is wrong. */
  readonly broken: { readonly line: number; readonly seq: number | null; readonly what: string } | null;
  readonly notes: readonly string[];
}

/**
 * Verifies a trail line by line; the lines of a file of {@link AuditRecord}s, oldest first. Stops at the first record that is
 * broken. A trail that does not begin with its first record is whole from there on: retention drops the oldest.
 */
export function verifyTrail(lines: Iterable<string>, options: VerifyOptions): VerifyReport {
  const keys = new Set(options.keys);
  const notes: string[] = [];
  let first: ChainHead | null = null;
  let head: ChainHead | null = null;
  let line = 0;
  let held = options.head === undefined;
  const report = (what: string | null, seq: number | null = null): VerifyReport => ({
    ok: what === null,
    records: line - (what === null ? 0 : 1),
    first,
    head,
    broken: what === null ? null : { line, seq, what },
    notes,
  });
  for (const text of lines) {
    if (text.trim() === "") continue;
    line++;
    const parsed = parseRecord(text);
    if (typeof parsed === "string") return report(parsed);
    const what = linkProblem(parsed, head) ?? signatureProblem(parsed, keys);
    if (what !== null) return report(what, parsed.seq);
    if (head === null) {
      first = { seq: parsed.seq, hash: parsed.hash };
      if (parsed.seq > 1) notes.push(`It begins at record ${parsed.seq}: those before are not in it`);
    }
    head = { seq: parsed.seq, hash: parsed.hash };
    if (options.head?.seq === parsed.seq) {
      if (options.head.hash !== parsed.hash)
        return report("is not the record of the head that was noted", parsed.seq);
      held = true;
    }
    const next = rotatedTo(parsed);
    if (next !== null) keys.add(next);
  }
  if (!held) {
    line++;
    return report(
      `is missing: record ${options.head?.seq} of the head that was noted is not in the trail`,
      options.head?.seq,
    );
  }
  return report(null);
}

function parseRecord(text: string): AuditRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  const parsed = AuditRecord.safeParse(value);
  if (!parsed.success) return "is no record of an audit trail";
  // The hash is over the text's own value: a parser must not have changed it.
  return recordHash(value as object) === parsed.data.hash ? parsed.data : "was changed: its hash is another";
}

function linkProblem(record: AuditRecord, head: ChainHead | null): string | null {
  if (head === null) {
    return record.seq === 1 && record.prev !== genesis(record.site)
      ? `is not the first of the trail of site ${record.site}`
      : null;
  }
  if (record.seq !== head.seq + 1) {
    return record.seq <= head.seq
      ? `is out of order: record ${record.seq} stands behind ${head.seq}`
      : `records ${head.seq + 1} to ${record.seq - 1} before it are missing`;
  }
  return record.prev === head.hash
    ? null
    : "does not follow the record before it: one of the two was replaced";
}

function signatureProblem(record: AuditRecord, keys: ReadonlySet<string>): string | null {
  if (!keys.has(record.key))
    return `is signed by ${record.key}, which is not a key of the site that was given`;
  return verifyEd25519(record.key, signedBytes(record.hash), Buffer.from(record.sig, "base64"))
    ? null
    : "has a signature that is not the site's";
}

function rotatedTo(record: AuditRecord): string | null {
  if (record.operation !== KEY_ROTATED || record.type !== "event") return null;
  const after = z.object({ key: z.string() }).safeParse(record.after);
  return after.success ? after.data.key : null;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
