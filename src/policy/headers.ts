/** What becomes of an event's headers: transport headers stay behind, then the rule drops and sets. */
import type { Problem } from "../model/errors.ts";
import type { HeaderRules } from "../model/schema/policy.ts";
import { ascii, EMPTY, HeaderCursor } from "./header_block.ts";

/**
 * Headers that nats-server acts on (Nats-Rollup, Nats-TTL, Nats-Expected-*, Nats-Schedule*, Nats-Trace-Dest, Nats-Batch-*, …)
 * and our own. Published to a view they would act there, and at the peer.
 */
const TRANSPORT_PREFIXES = [ascii("nats-"), ascii("leafmesh-")];
/** The one that must cross: deduplication works with it. */
const MESSAGE_ID = ascii("Nats-Msg-Id");

export interface CompiledHeaders {
  readonly dropNames: readonly Uint8Array[];
  readonly dropPrefixes: readonly Uint8Array[];
  /** Lines to add, as bytes. */
  readonly added: Uint8Array;
}

const CRLF = "\r\n";
const VERSION = ascii(`NATS/1.0${CRLF}`);
const END = ascii(CRLF);

/** What is wrong with header rules; paths are `set.<name>`. */
export function headerProblems(rules: HeaderRules): Problem[] {
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(rules.set ?? {})) {
    const lower = name.toLowerCase();
    if (lower.startsWith("nats-") || lower.startsWith("leafmesh-")) {
      problems.push({
        path: `set.${name}`,
        message: `Header '${name}' cannot be set: servers and sidecars act on headers that begin with Nats- or Leafmesh-`,
      });
    }
    if (/[\r\n\0]/.test(value) || !/^[!-9;-~]+$/.test(name)) {
      problems.push({
        path: `set.${name}`,
        message: `Header '${name}' or its value is not one line of text`,
      });
    }
  }
  return problems;
}

/** Compiles header rules; `undefined` drops the transport headers only. */
export function compileHeaderRules(rules: HeaderRules | undefined): CompiledHeaders {
  const drop = (rules?.drop ?? []).map((one) => one.toLowerCase());
  const set = Object.entries(rules?.set ?? {});
  const lines = set.map(([name, value]) => `${name}: ${value}${CRLF}`).join("");
  return {
    dropNames: [...drop.filter((one) => !one.endsWith("*")), ...set.map(([name]) => name.toLowerCase())].map(
      ascii,
    ),
    dropPrefixes: drop.filter((one) => one.endsWith("*")).map((one) => ascii(one.slice(0, -1))),
    added: lines === "" ? EMPTY : new TextEncoder().encode(lines),
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
  let out: Uint8Array | null = null;
  let end = 0;
  let kept = 0;
  cursor.start(block);
  while (cursor.next()) {
    if (dropped(cursor, rules)) {
      if (out === null) {
        out = new Uint8Array(block.length + rules.added.length);
        end = cursor.lineFrom;
        out.set(block.subarray(0, end));
      }
      continue;
    }
    kept++;
    if (out === null) continue;
    for (let i = cursor.lineFrom; i < cursor.lineTo; i++) out[end++] = block[i] as number;
  }
  if (cursor.invalid) return null;
  if (out === null && rules.added.length === 0) return kept === 0 ? EMPTY : block;
  if (kept === 0) return rules.added.length === 0 ? EMPTY : concat(VERSION, rules.added, END);
  // Without its last, empty line.
  const lines = out === null ? block.subarray(0, block.length - END.length) : out.subarray(0, end);
  return concat(lines, rules.added, END);
}

function dropped(cursor: HeaderCursor, rules: CompiledHeaders): boolean {
  const first = (cursor.block[cursor.lineFrom] as number) | 0x20;
  if (first === 0x6e || first === 0x6c) {
    for (const prefix of TRANSPORT_PREFIXES) {
      if (cursor.hasPrefixLike(prefix) && !cursor.isNamed(MESSAGE_ID)) return true;
    }
  }
  for (const name of rules.dropNames) if (cursor.isNamedLike(name)) return true;
  for (const prefix of rules.dropPrefixes) if (cursor.hasPrefixLike(prefix)) return true;
  return false;
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
