/**
 * One strict pass over a JSON text (RFC 8259): checks all of it, and edits the values that the automaton selects.
 * No recursion and no allocation of its own; what is not selected is not looked at beyond its syntax.
 */
import type { PathState } from "./automaton.ts";
import { elementStep, nameStep } from "./automaton.ts";
import { literalEnd, numberEnd } from "./scalar.ts";
import { plainEnd, stringEnd, unescapeString } from "./text.ts";
import type { Workspace } from "./workspace.ts";

/** Why a text was not accepted; `ok` is 0. */
export const FAULT = { ok: 0, notJson: 1, tooDeep: 2, tooLarge: 3, brokenText: 4 } as const;
export type Fault = (typeof FAULT)[keyof typeof FAULT];

/**
 * Writes what stands for a selected value, whose bytes are `[from, to)`, to the workspace. `remove` asks the pass to leave the
 * value out with its name and comma; `broken` says that the value holds half a surrogate pair.
 */
export type Edit = (action: number, from: number, to: number) => "replaced" | "remove" | "broken";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OBJECT = 0x7b;
const ARRAY = 0x5b;
const OBJECT_END = 0x7d;
const ARRAY_END = 0x5d;

export class Scanner {
  /** Where the last pass stopped, in bytes. */
  at = 0;
  /** How many members all objects of the last text have together. */
  members = 0;

  readonly #workspace: Workspace;
  readonly #maxDepth: number;
  readonly #maxBytes: number;
  /** Of each open container: its state, closing byte and the index of its next element. */
  readonly #states: PathState[] = [];
  readonly #closers: Uint8Array;
  readonly #indexes: Int32Array;
  /** Of a container whose elements may be removed: whether one was kept so far, */
  readonly #kept: Uint8Array;
  /** where the last element ended, */
  readonly #ends: Int32Array;
  /** and where a removed first element began (-1: none), to be cut when it is known what follows. */
  readonly #pending: Int32Array;

  constructor(workspace: Workspace, limits: { readonly maxDepth: number; readonly maxBytes: number }) {
    this.#workspace = workspace;
    this.#maxDepth = limits.maxDepth;
    this.#maxBytes = limits.maxBytes;
    const levels = limits.maxDepth + 2;
    this.#closers = new Uint8Array(levels);
    this.#indexes = new Int32Array(levels);
    this.#kept = new Uint8Array(levels);
    this.#ends = new Int32Array(levels);
    this.#pending = new Int32Array(levels);
  }

  /** Passes over the payload that the workspace has loaded, `length` bytes long. */
  scan(length: number, root: PathState, dead: PathState, edit: Edit): Fault {
    const workspace = this.#workspace;
    const states = this.#states;
    const closers = this.#closers;
    const indexes = this.#indexes;
    const maxDepth = this.#maxDepth;
    let bytes = workspace.bytes;
    let words = workspace.words;
    let at = 0;
    let depth = 0;
    let parent = dead;
    let closer = 0;
    let state = root;
    let start = 0;
    // The selected value that the pass is in: its redaction, depth, and where it and its member began.
    let action = -1;
    let actionDepth = 0;
    let actionFrom = 0;
    let actionStart = 0;
    let members = 0;

    value: for (;;) {
      // A member, an element or the whole text begins.
      let byte = bytes[at] as number;
      while (isBlank(byte)) byte = bytes[++at] as number;
      start = at;
      if (closer === OBJECT_END) {
        if (byte !== QUOTE) return this.#fail(at, FAULT.notJson);
        members++;
        at = plainEnd(bytes, at + 1);
        if (bytes[at] === QUOTE) {
          state = parent.dead ? parent : nameStep(parent, bytes, start + 1, at);
          at++;
        } else {
          at = stringEnd(bytes, words, at);
          if (at < 0) return this.#fail(start, FAULT.notJson);
          const name = workspace.textRoom(at - start);
          const nameLength = unescapeString(bytes, start + 1, at - 1, name);
          if (nameLength < 0) return this.#fail(start, FAULT.brokenText);
          state = parent.dead ? parent : nameStep(parent, name, 0, nameLength);
        }
        byte = bytes[at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (byte !== COLON) return this.#fail(at, FAULT.notJson);
        byte = bytes[++at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
      } else if (closer === ARRAY_END) {
        const index = indexes[depth] as number;
        indexes[depth] = index + 1;
        state = parent.dead ? parent : elementStep(parent, index);
      }
      if (parent.removes && this.#cutPending(depth, start)) bytes = workspace.bytes;
      if (state.action >= 0) {
        action = state.action;
        actionDepth = depth;
        actionFrom = at;
        actionStart = start;
        state = dead;
      }

      // Its value begins at `at`, with `byte`.
      if (byte === QUOTE) {
        const from = at;
        at = stringEnd(bytes, words, at + 1);
        if (at < 0) return this.#fail(from, FAULT.notJson);
      } else if (byte === OBJECT || byte === ARRAY) {
        if (++depth > maxDepth) return this.#fail(at, FAULT.tooDeep);
        parent = state;
        closer = byte + 2; // '}' and ']' are two behind their opening bytes
        states[depth] = parent;
        closers[depth] = closer;
        indexes[depth] = 0;
        if (parent.removes) {
          this.#kept[depth] = 0;
          this.#pending[depth] = -1;
        }
        byte = bytes[++at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (byte !== closer) continue;
        at++;
        depth--;
        parent = depth === 0 ? dead : (states[depth] as PathState);
        closer = depth === 0 ? 0 : (closers[depth] as number);
      } else {
        const from = at;
        at = byte > 0x39 ? literalEnd(bytes, at) : numberEnd(bytes, at);
        if (at < 0) return this.#fail(from, FAULT.notJson);
      }

      // A value has ended at `at`.
      for (;;) {
        let removed = false;
        if (action >= 0 && actionDepth === depth) {
          const done = edit(action, actionFrom, at);
          if (done === "broken") return this.#fail(actionFrom, FAULT.brokenText);
          removed = done === "remove";
          if (removed) this.#remove(depth, actionStart, at);
          if (workspace.outputLength > this.#maxBytes) return this.#fail(at, FAULT.tooLarge);
          bytes = workspace.bytes;
          words = workspace.words;
          action = -1;
        }
        if (parent.removes) {
          this.#ends[depth] = at;
          if (!removed) this.#kept[depth] = 1;
        }
        byte = bytes[at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (depth === 0) {
          this.members = members;
          return at === length ? FAULT.ok : this.#fail(at, FAULT.notJson);
        }
        if (byte === COMMA) {
          at++;
          continue value;
        }
        if (byte !== closer) return this.#fail(at, FAULT.notJson);
        if (parent.removes && this.#cutPending(depth, this.#ends[depth] as number)) {
          bytes = workspace.bytes;
          words = workspace.words;
        }
        at++;
        depth--;
        parent = depth === 0 ? dead : (states[depth] as PathState);
        closer = depth === 0 ? 0 : (closers[depth] as number);
      }
    }
  }

  /** An element `[start, end)` goes: with the comma before it, or when nothing before it stays, with what is up to the next. */
  #remove(depth: number, start: number, end: number): void {
    this.#workspace.edits++;
    if (this.#kept[depth] === 1) this.#workspace.cut(this.#ends[depth] as number, end);
    else this.#pending[depth] = start;
  }

  /** Cuts a removed first element, now that it is known where the next one begins, or where the last one ended. */
  #cutPending(depth: number, to: number): boolean {
    const from = this.#pending[depth] as number;
    if (from < 0) return false;
    this.#pending[depth] = -1;
    this.#workspace.cut(from, to);
    return true;
  }

  #fail(at: number, fault: Fault): Fault {
    this.at = at;
    return fault;
  }
}

function isBlank(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}
