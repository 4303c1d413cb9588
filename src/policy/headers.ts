/**
 * What becomes of an event's headers. In this order: transport headers stay behind, `drop` and `keep` decide which lines go,
 * `mask` hides values, `rename` gives other names, and `set` puts lines in. The first four go by the name that came.
 */
import type { HeaderRules } from "../model/schema/policy.ts";
import { ascii, EMPTY, HeaderCursor } from "./header_block.ts";
import { HeaderWriter } from "./header_writer.ts";

/**
 * Headers that nats-server acts on (Nats-Rollup, Nats-TTL, Nats-Expected-*, Nats-Schedule*, Nats-Trace-Dest, Nats-Batch-*, …)
 * and our own. Published to a view they would act there, and at the peer.
 */
const TRANSPORT_PREFIXES = [ascii("nats-"), ascii("leafmesh-")];
/** The one that must cross: deduplication works with it. */
const MESSAGE_ID = ascii("Nats-Msg-Id");

/** Names and classes of names, in lower case. */
interface NameSet {
  readonly names: readonly Uint8Array[];
  readonly prefixes: readonly Uint8Array[];
}

interface Rename {
  readonly from: Uint8Array;
  /** The new name, as it is written. */
  readonly to: Uint8Array;
}

export interface CompiledHeaders {
  readonly drop: NameSet;
  /** Only these stay; `null`: all. */
  readonly keep: NameSet | null;
  readonly mask: NameSet | null;
  readonly renames: readonly Rename[];
  /** Lines to add, as bytes. */
  readonly added: Uint8Array;
  /** Whether an event's own `Nats-Msg-Id` stays behind. */
  readonly dropsMessageId: boolean;
}

const CRLF = "\r\n";
const VERSION = ascii(`NATS/1.0${CRLF}`);
const END = ascii(CRLF);
const MASKED = ascii(`***${CRLF}`);

/** Whether servers or sidecars act on headers of this name, in whatever case. */
export function isTransportName(name: string): boolean {
  const lower = name.toLowerCase();
  return lower.startsWith("nats-") || lower.startsWith("leafmesh-");
}

/** Compiles header rules; `undefined` drops the transport headers only. */
export function compileHeaderRules(rules: HeaderRules | undefined): CompiledHeaders {
  const set = Object.entries(rules?.set ?? {});
  const renames = Object.entries(rules?.rename ?? {});
  // A line that has already the name of one that is set or renamed goes: nobody forges what the policy says.
  const replaced = [...set.map(([name]) => name), ...targets(renames)];
  const lines = set.map(([name, value]) => `${name}: ${value}${CRLF}`).join("");
  const drop = nameSet([...(rules?.drop ?? []), ...replaced]);
  return {
    drop,
    keep: rules?.keep === undefined ? null : nameSet([...rules.keep, ...renames.map(([from]) => from)]),
    mask: rules?.mask === undefined ? null : nameSet(rules.mask),
    renames: renames.map(([from, to]) => ({ from: ascii(from.toLowerCase()), to: ascii(to) })),
    added: lines === "" ? EMPTY : new TextEncoder().encode(lines),
    dropsMessageId: (rules?.drop ?? []).some((one) => namesMessageId(one.toLowerCase())),
  };
}

/** The new names but those that are renamed themselves: their lines move out of the way. */
function targets(renames: readonly (readonly [string, string])[]): string[] {
  const moved = new Set(renames.map(([from]) => from.toLowerCase()));
  return renames.map(([, to]) => to).filter((to) => !moved.has(to.toLowerCase()));
}

function namesMessageId(pattern: string): boolean {
  return pattern.endsWith("*") ? "nats-msg-id".startsWith(pattern.slice(0, -1)) : pattern === "nats-msg-id";
}

function nameSet(patterns: readonly string[]): NameSet {
  const lower = patterns.map((one) => one.toLowerCase());
  return {
    names: lower.filter((one) => !one.endsWith("*")).map(ascii),
    prefixes: lower.filter((one) => one.endsWith("*")).map((one) => ascii(one.slice(0, -1))),
  };
}

/**
 * The header block that leaves: the given array itself when nothing changes, empty when no header is left, `null` when the
 * block is malformed.
 */
export function forwardHeaders(
  block: Uint8Array,
  rules: CompiledHeaders,
  cursor: HeaderCursor = new HeaderCursor(),
): Uint8Array | null {
  const { mask, renames } = rules;
  const rewrites = mask !== null || renames.length > 0;
  let out: HeaderWriter | null = null;
  let kept = 0;
  cursor.start(block);
  while (cursor.next()) {
    const fate = fateOf(cursor, rules);
    if (fate === STAYS && !rewrites) {
      kept++;
      out?.copy(cursor.lineFrom, cursor.lineTo);
      continue;
    }
    const rename = fate === STAYS ? renameOf(cursor, renames) : null;
    const masked = fate === STAYS && mask !== null && holds(mask, cursor);
    if (fate === STAYS && rename === null && !masked) {
      kept++;
      out?.copy(cursor.lineFrom, cursor.lineTo);
      continue;
    }
    out ??= new HeaderWriter(block, cursor.lineFrom);
    if (fate === GOES) continue;
    kept++;
    if (rename === null) out.copy(cursor.lineFrom, cursor.nameTo);
    else out.write(rename);
    if (masked) {
      out.copy(cursor.nameTo, cursor.valueFrom);
      out.write(MASKED);
    } else out.copy(cursor.nameTo, cursor.lineTo);
  }
  if (cursor.invalid) return null;
  if (out === null && rules.added.length === 0) return kept === 0 ? EMPTY : block;
  if (kept === 0) return rules.added.length === 0 ? EMPTY : concat(VERSION, rules.added, END);
  // Without its last, empty line.
  const lines = out === null ? block.subarray(0, block.length - END.length) : out.written();
  return concat(lines, rules.added, END);
}

/** Whether the value of a header does not leave under any name. `name` is in lower case. */
export function hidesValue({ drop, keep, mask }: CompiledHeaders, name: string): boolean {
  const has = (set: NameSet) =>
    [...set.names, ...set.prefixes].some((one, index) => {
      const text = String.fromCharCode(...one);
      return index < set.names.length ? text === name : name.startsWith(text);
    });
  return has(drop) || (keep !== null && !has(keep)) || (mask !== null && has(mask));
}

const STAYS = 0;
const GOES = 1;

/** Whether a line stays. The id stays where only some headers are kept: it belongs to the transport. */
function fateOf(cursor: HeaderCursor, rules: CompiledHeaders): typeof STAYS | typeof GOES {
  const first = (cursor.block[cursor.lineFrom] as number) | 0x20;
  if (first === 0x6e || first === 0x6c) {
    for (const prefix of TRANSPORT_PREFIXES) {
      if (!cursor.hasPrefixLike(prefix)) continue;
      return cursor.isNamed(MESSAGE_ID) && !rules.dropsMessageId ? STAYS : GOES;
    }
  }
  if (holds(rules.drop, cursor)) return GOES;
  return rules.keep === null || holds(rules.keep, cursor) ? STAYS : GOES;
}

function holds(set: NameSet, cursor: HeaderCursor): boolean {
  // A masked id would make all events one.
  if (cursor.isNamed(MESSAGE_ID)) return false;
  const { names, prefixes } = set;
  for (let i = 0; i < names.length; i++) if (cursor.isNamedLike(names[i] as Uint8Array)) return true;
  for (let i = 0; i < prefixes.length; i++) if (cursor.hasPrefixLike(prefixes[i] as Uint8Array)) return true;
  return false;
}

function renameOf(cursor: HeaderCursor, renames: readonly Rename[]): Uint8Array | null {
  for (const { from, to } of renames) if (cursor.isNamedLike(from)) return to;
  return null;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
