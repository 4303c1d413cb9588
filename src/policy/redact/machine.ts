/** The scanner's WebAssembly module, and what it and the engine say to each other. Its source is `wasm/`, see `scan.ts`. */
import { Buffer } from "node:buffer";
import type { Fault } from "./limits.ts";
import { SCANNER_WASM } from "./scan_wasm.ts";

/** What the scanner asks for while it passes over a text. Places are counted from where the text begins. */
export interface MachineEditor {
  value(action: number, detect: number, from: number, to: number): Fault;
  text(set: number, from: number, to: number): Fault;
  name(set: number, from: number, to: number, escaped: boolean): Fault;
  cut(from: number, to: number): void;
}

/** An instance of the module with a memory of its own. Functions take addresses, see `wasm/scan.ts`. */
export interface Machine {
  readonly memory: WebAssembly.Memory;
  scan(from: number, length: number, root: number): Fault;
  skipValue(textFrom: number, from: number, depth: number): number;
  useScratch(place: number, bytes: number): void;
  resultsPlace(): number;
  freePlace(): number;
}

/** Compiled once, as it takes longer than making an instance. */
const compiled = new WebAssembly.Module(Buffer.from(SCANNER_WASM, "base64"));

/** Starts an instance whose questions go to what `editor` returns. */
export function startMachine(editor: () => MachineEditor): Machine {
  const asked = {
    value: (action: number, detect: number, from: number, to: number) =>
      editor().value(action, detect, from, to),
    text: (set: number, from: number, to: number) => editor().text(set, from, to),
    name: (set: number, from: number, to: number, escaped: number) =>
      editor().name(set, from, to, escaped !== 0),
    cut: (from: number, to: number) => editor().cut(from, to),
  };
  return new WebAssembly.Instance(compiled, { scan: asked }).exports as unknown as Machine;
}
