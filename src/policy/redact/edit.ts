/** What the pass over a payload asks for: replaces selected values, and in texts what detectors find. */
import { Budget } from "./detect/custom.ts";
import { Hits } from "./detect/hits.ts";
import type { DetectorSet } from "./detect/mod.ts";
import { FAULT, type Fault } from "./limits.ts";
import type { WriteText } from "./mask.ts";
import { type Action, maskWhole } from "./replace.ts";
import type { Editor } from "./scan.ts";
import { cutAfter, rawPlace, unescapeString } from "./text.ts";
import type { Workspace } from "./workspace.ts";
import { Writer } from "./writer.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** A redaction as it is run. */
export interface CompiledRedaction {
  readonly action: Action;
  /** What is written for a text that one of its detectors has found. */
  readonly write: WriteText;
  readonly strength: number;
}

export class RedactionEditor implements Editor {
  readonly #workspace: Workspace;
  readonly #redactions: readonly CompiledRedaction[];
  readonly #sets: readonly DetectorSet[];
  readonly #hits = new Hits();
  readonly #out = new Writer();
  readonly #budget = new Budget();

  constructor(workspace: Workspace, redactions: readonly CompiledRedaction[], sets: readonly DetectorSet[]) {
    this.#workspace = workspace;
    this.#redactions = redactions;
    this.#sets = sets;
  }

  /** Begins with a payload. */
  start(): void {
    this.#budget.reset();
  }

  value(index: number, detect: number, from: number, to: number): Fault {
    const action = this.#redactions[index]?.action;
    if (action?.type === "replace") {
      return action.replace(this.#workspace, from, to) === "broken" ? FAULT.brokenText : FAULT.ok;
    }
    if (action?.type === "truncate" && this.#workspace.bytes[from] === QUOTE) {
      const cut = cutAfter(this.#workspace.bytes, from + 1, to - 1, action.length);
      return cut < 0 ? FAULT.brokenText : this.#string(detect, from, to, cut);
    }
    maskWhole(this.#workspace, from, to);
    return FAULT.ok;
  }

  text(set: number, from: number, to: number): Fault {
    const first = this.#workspace.bytes[from] as number;
    if (first === QUOTE) return this.#string(set, from, to, to - 1);
    return first > 0x39 ? FAULT.ok : this.#number(set, from, to);
  }

  name(set: number, from: number, to: number, escaped: boolean): Fault {
    const detectors = this.#sets[set];
    if (detectors === undefined) return FAULT.ok;
    const workspace = this.#workspace;
    let bytes: Uint8Array = workspace.bytes;
    let start = from;
    let end = to;
    if (escaped) {
      bytes = workspace.textRoom(to - from);
      start = 0;
      end = unescapeString(workspace.bytes, from, to, bytes);
    }
    const fault = detectors.find(bytes, start, end, this.#hits, this.#budget);
    return fault === FAULT.ok && this.#hits.count > 0 ? FAULT.foundInName : fault;
  }

  /** Redacts what is found in the string `[from, to)`, and leaves its content out from `cut` on. */
  #string(set: number, from: number, to: number, cut: number): Fault {
    const workspace = this.#workspace;
    const hits = this.#hits;
    hits.clear();
    const detectors = this.#sets[set];
    let text: Uint8Array = workspace.bytes;
    // Where the text begins in `text`, and in the payload.
    let start = from + 1;
    const escaped = detectors !== undefined && hasEscape(text, from + 1, to - 1);
    if (detectors !== undefined) {
      let end = to - 1;
      if (escaped) {
        text = workspace.textRoom(to - from);
        start = 0;
        end = unescapeString(workspace.bytes, from + 1, to - 1, text);
        if (end < 0) return FAULT.brokenText;
      }
      const fault = detectors.find(text, start, end, hits, this.#budget);
      if (fault !== FAULT.ok) return fault;
    }
    let raw = from + 1;
    let read = start;
    for (let i = 0; i < hits.count; i++) {
      const hitStart = hits.starts[i] as number;
      const hitEnd = hits.ends[i] as number;
      const { bytes } = workspace;
      const rawStart = escaped ? rawPlace(bytes, raw, hitStart - read) : hitStart;
      if (rawStart >= cut) break;
      raw = escaped ? rawPlace(bytes, rawStart, hitEnd - hitStart) : hitEnd;
      read = hitEnd;
      this.#write(hits.owners[i] as number, text, hitStart, hitEnd);
      workspace.replace(rawStart, raw, this.#out.bytes, this.#out.length);
    }
    if (cut < to - 1) {
      workspace.shorten(Math.max(cut, raw), to - 1);
    }
    return FAULT.ok;
  }

  /** A number in which something is found is redacted as a whole: what stands for it is text. */
  #number(set: number, from: number, to: number): Fault {
    const hits = this.#hits;
    const { bytes } = this.#workspace;
    const fault = this.#sets[set]?.findInNumber(bytes, from, to, hits, this.#budget) ?? FAULT.ok;
    if (fault !== FAULT.ok || hits.count === 0) return fault;
    let owner = hits.owners[0] as number;
    for (let i = 1; i < hits.count; i++) if (hits.owners[i] !== owner) owner = -1;
    const out = this.#out;
    out.clear();
    out.quote();
    this.#append(owner, bytes, from, to);
    out.quote();
    this.#workspace.replace(from, to, out.bytes, out.length);
    return FAULT.ok;
  }

  #write(owner: number, text: Uint8Array, from: number, to: number): void {
    this.#out.clear();
    this.#append(owner, text, from, to);
  }

  #append(owner: number, text: Uint8Array, from: number, to: number): void {
    const redaction = this.#redactions[owner];
    if (redaction === undefined) this.#out.stars(3);
    else redaction.write(text, from, to, this.#out);
  }
}

function hasEscape(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === BACKSLASH) return true;
  return false;
}
