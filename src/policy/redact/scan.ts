/**
 * One strict pass over a JSON text (RFC 8259): checks all of it, and edits the values that the automaton selects.
 * No recursion and no allocation of its own; what is not selected is not looked at beyond its syntax.
 */
import { elementStep, nameStep, type PathState } from "./automaton.ts";
import { FAULT, type Fault, isBlank, Skipper } from "./skip.ts";
import { plainEnd } from "./text.ts";
import type { Workspace } from "./workspace.ts";

/** What is done to what the pass comes upon. Each answers with why the payload cannot be let through, or `FAULT.ok`. */
export interface Editor {
  /** Writes what stands for a selected value, whose bytes are `[from, to)`, to the workspace. Not asked of what is removed. */
  value(state: PathState, from: number, to: number): Fault;
  /** Looks through a string or number `[from, to)` with the detectors of `set`, and writes what stands for what they find. */
  text(set: number, from: number, to: number): Fault;
  /** Looks through the unescaped name `[from, to)` of a member with the detectors of `set`. */
  name(set: number, bytes: Uint8Array, from: number, to: number): Fault;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;

export class Scanner {
  /** Passes over what is not selected; has the place of a fault and what was seen. */
  readonly skipper: Skipper;

  readonly #workspace: Workspace;
  readonly #maxDepth: number;
  readonly #maxBytes: number;
  /** Of each open container that something may be selected in: its state, closing byte and the index of its next element, */
  readonly #states: PathState[] = [];
  readonly #closers: Uint8Array;
  readonly #indexes: Int32Array;
  /** and where elements may be removed: whether one was kept so far, */
  readonly #kept: Uint8Array;
  /** where the last one ended, */
  readonly #ends: Int32Array;
  /** and where a removed first one began (-1: none), to be cut when it is known what follows. */
  readonly #pending: Int32Array;

  constructor(workspace: Workspace, limits: { readonly maxDepth: number; readonly maxBytes: number }) {
    this.#workspace = workspace;
    this.#maxDepth = limits.maxDepth;
    this.#maxBytes = limits.maxBytes;
    this.skipper = new Skipper(limits.maxDepth);
    const levels = limits.maxDepth + 2;
    this.#closers = new Uint8Array(levels);
    this.#indexes = new Int32Array(levels);
    this.#kept = new Uint8Array(levels);
    this.#ends = new Int32Array(levels);
    this.#pending = new Int32Array(levels);
  }

  /** Passes over the payload that the workspace has loaded, `length` bytes long. */
  scan(length: number, root: PathState, editor: Editor): Fault {
    const workspace = this.#workspace;
    const skipper = this.skipper;
    skipper.members = 0;
    skipper.special = false;
    const states = this.#states;
    const closers = this.#closers;
    const indexes = this.#indexes;
    const kept = this.#kept;
    const ends = this.#ends;
    const pending = this.#pending;
    let { bytes, words } = workspace;
    let at = 0;
    let depth = 0;
    let parent = root;
    let removes = false;
    let closer = 0;
    let state = root;
    let members = 0;

    value: for (;;) {
      // A member, an element or the whole text begins.
      let byte = bytes[at] as number;
      while (isBlank(byte)) byte = bytes[++at] as number;
      let start = at;
      let removed = false;
      // Only members that no path names were left.
      let closing = false;
      if (closer === OBJECT_END && parent.sparse) {
        at = skipper.skipMembers(bytes, words, start, depth, parent.nameLengths);
        if (at < 0) return skipper.fault;
        if (at !== start && removes) {
          if (this.#cutPending(depth, start)) ({ bytes, words } = workspace);
          kept[depth] = 1;
          ends[depth] = skipper.lastEnd;
        }
        byte = bytes[at] as number;
        closing = byte !== QUOTE;
        start = at;
      }
      if (!closing) {
        if (closer === OBJECT_END) {
          if (byte !== QUOTE) return this.#fail(at, FAULT.notJson);
          members++;
          at = plainEnd(words, at + 1);
          let name = bytes;
          let from = start + 1;
          let to = at;
          if (bytes[at] === QUOTE) at++;
          else {
            at = skipper.nameEnd(bytes, start, at);
            if (at < 0) return skipper.fault;
            name = skipper.name;
            from = 0;
            to = skipper.nameLength;
          }
          state = nameStep(parent, name, from, to);
          if (parent.detect >= 0 && !state.removed) {
            const fault = editor.name(parent.detect, name, from, to);
            if (fault !== FAULT.ok) return this.#fail(start, fault);
          }
          byte = bytes[at] as number;
          while (isBlank(byte)) byte = bytes[++at] as number;
          if (byte !== COLON) return this.#fail(at, FAULT.notJson);
          byte = bytes[++at] as number;
          while (isBlank(byte)) byte = bytes[++at] as number;
        } else if (depth > 0) {
          const index = indexes[depth] as number;
          indexes[depth] = index + 1;
          state = elementStep(parent, index);
        }
        if (removes && this.#cutPending(depth, start)) ({ bytes, words } = workspace);

        if (state.action >= 0) {
          const from = at;
          at = skipper.skip(bytes, words, at, depth);
          if (at < 0) return skipper.fault;
          removed = state.removed;
          if (removed) this.#remove(depth, start, at);
          else {
            const fault = editor.value(state, from, at);
            if (fault !== FAULT.ok) return this.#fail(from, fault);
          }
          if (workspace.outputLength > this.#maxBytes) return this.#fail(at, FAULT.tooLarge);
          ({ bytes, words } = workspace);
        } else if (!state.dead && (byte | 0x20) === OBJECT) {
          if (++depth > this.#maxDepth) return this.#fail(at, FAULT.tooDeep);
          parent = state;
          closer = byte + 2; // '}' and ']' are two behind their opening bytes
          states[depth] = parent;
          closers[depth] = closer;
          indexes[depth] = 0;
          removes = parent.removes;
          if (removes) {
            kept[depth] = 0;
            pending[depth] = -1;
          }
          byte = bytes[++at] as number;
          while (isBlank(byte)) byte = bytes[++at] as number;
          if (byte !== closer) continue;
          at++;
          depth--;
          if (depth > 0) {
            parent = states[depth] as PathState;
            removes = parent.removes;
          } else removes = false;
          closer = closers[depth] as number;
        } else {
          // A plain string is not worth a call.
          const from = at;
          const end = byte === QUOTE ? plainEnd(words, at + 1) : 0;
          at = end > 0 && bytes[end] === QUOTE ? end + 1 : skipper.skip(bytes, words, at, depth);
          if (at < 0) return skipper.fault;
          if (state.detect >= 0) {
            const fault = editor.text(state.detect, from, at);
            if (fault !== FAULT.ok) return this.#fail(from, fault);
            if (workspace.outputLength > this.#maxBytes) return this.#fail(at, FAULT.tooLarge);
            ({ bytes, words } = workspace);
          }
        }
      }

      // A value has ended at `at`.
      for (;;) {
        byte = bytes[at] as number;
        if (depth === 0) {
          while (isBlank(byte)) byte = bytes[++at] as number;
          skipper.members += members;
          return at === length ? FAULT.ok : this.#fail(at, FAULT.notJson);
        }
        if (removes) {
          ends[depth] = at;
          if (!removed) kept[depth] = 1;
          removed = false;
        }
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (byte === COMMA) {
          at++;
          continue value;
        }
        if (byte !== closer) return this.#fail(at, FAULT.notJson);
        if (removes && this.#cutPending(depth, ends[depth] as number)) ({ bytes, words } = workspace);
        at++;
        depth--;
        if (depth > 0) {
          parent = states[depth] as PathState;
          removes = parent.removes;
        } else removes = false;
        closer = closers[depth] as number;
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
    this.skipper.fail(at, fault);
    return fault;
  }
}
