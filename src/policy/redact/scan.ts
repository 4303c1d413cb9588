/**
 * One strict pass over a JSON text (RFC 8259): checks all of it, and edits the values that the automaton selects.
 * The pass itself is `wasm/`, in AssemblyScript: it reads eight bytes at a time, and knows no garbage. `scripts/build-wasm` builds it.
 */
import { isUtf8 } from "node:buffer";
import { deadState, type PathState } from "./automaton.ts";
import { DEFAULT_MAX_BYTES, FAULT, type Fault } from "./limits.ts";
import type { MachineEditor } from "./machine.ts";
import { type Tables, writeTables } from "./tables.ts";
import type { Workspace } from "./workspace.ts";

/** What is done to what the pass comes upon. Each answers with why the payload cannot be let through, or `FAULT.ok`. */
export interface Editor {
  /**
   * Writes what stands for a value that redaction `action` selects, whose bytes are `[from, to)`, to the workspace. The detectors
   * of `detect` (-1: none) look at what stays of it. Not asked of what is removed.
   */
  value(action: number, detect: number, from: number, to: number): Fault;
  /** Looks through a string, number or literal `[from, to)` with the detectors of `set`, and writes what stands for what they find. */
  text(set: number, from: number, to: number): Fault;
  /** Looks through the name `[from, to)` of a member, as it is written, with the detectors of `set`. */
  name(set: number, from: number, to: number, escaped: boolean): Fault;
}

/** Nothing is selected, so nothing is asked of it. */
const NO_EDITOR: Editor = {
  value: () => FAULT.brokenText,
  text: () => FAULT.brokenText,
  name: () => FAULT.brokenText,
};

export class Scanner implements MachineEditor {
  readonly #workspace: Workspace;
  readonly #root: PathState;
  readonly #editor: Editor;
  readonly #maxBytes: number;
  /** Of the workspace's generation; in another one they are gone. */
  #tables: Tables | null = null;
  #generation = 0;
  #fault: Fault = FAULT.ok;

  /** Without `root` and `editor` nothing is selected. */
  constructor(
    workspace: Workspace,
    options: { readonly root?: PathState; readonly editor?: Editor; readonly maxBytes?: number } = {},
  ) {
    this.#workspace = workspace;
    this.#root = options.root ?? deadState();
    this.#editor = options.editor ?? NO_EDITOR;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  /** Where the last text went wrong; -1 when it is not UTF-8. */
  get at(): number {
    return this.#workspace.results[0] as number;
  }

  /** How many members the objects of the last text have together. */
  get members(): number {
    return this.#workspace.results[1] as number;
  }

  /** Loads a payload into the workspace and passes over it. */
  scan(data: Uint8Array): Fault {
    const workspace = this.#workspace;
    const length = data.length;
    if (length > this.#maxBytes) return FAULT.tooLarge;
    const tables = this.#generation === workspace.generation && this.#tables ? this.#tables : this.#prepare();
    workspace.load(data);
    workspace.editor = this;
    const { machine } = workspace;
    machine.useScratch(tables.scratch, tables.longestName);
    const fault = machine.scan(workspace.base, length, tables.root);
    return fault === FAULT.ok ? this.#checkText(data) : fault;
  }

  /**
   * Passes over the value that begins at `from` of the text that the workspace has loaded, inside of `depth` containers. Returns
   * the place behind it, or -1: then `fault` and `at` say why and where. Whether it is UTF-8 is not checked.
   */
  skip(from: number, depth: number): number {
    const { machine, base } = this.#workspace;
    const end = machine.skipValue(base, from, depth);
    if (end >= 0) return end;
    this.#fault = -end as Fault;
    return -1;
  }

  /** Why the last `skip` returned -1. */
  get fault(): Fault {
    return this.#fault;
  }

  /** Whether the last text may have bytes beyond ASCII in strings. */
  get special(): boolean {
    return this.#workspace.results[3] !== 0;
  }

  /** Strings that may have bytes beyond ASCII must be UTF-8. */
  #checkText(data: Uint8Array): Fault {
    if (!this.special || isUtf8(data)) return FAULT.ok;
    this.#workspace.results[0] = -1;
    return FAULT.notJson;
  }

  value(action: number, detect: number, from: number, to: number): Fault {
    const fault = this.#editor.value(action, detect, from, to);
    return fault === FAULT.ok ? this.#checkLength() : fault;
  }

  text(set: number, from: number, to: number): Fault {
    const fault = this.#editor.text(set, from, to);
    return fault === FAULT.ok ? this.#checkLength() : fault;
  }

  name(set: number, from: number, to: number, escaped: boolean): Fault {
    return this.#editor.name(set, from, to, escaped);
  }

  cut(from: number, to: number): void {
    this.#workspace.cut(from, to);
  }

  #checkLength(): Fault {
    return this.#workspace.outputLength > this.#maxBytes ? FAULT.tooLarge : FAULT.ok;
  }

  #prepare(): Tables {
    const { machine } = this.#workspace;
    this.#tables = writeTables(this.#root, machine.memory, (bytes) => this.#workspace.reserve(bytes));
    this.#generation = this.#workspace.generation;
    return this.#tables;
  }
}
