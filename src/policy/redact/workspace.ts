/**
 * The reusable memory of redactors: a copy of the payload with a zero byte behind it (no JSON text holds one, so scanning
 * needs no bounds checks). The redacted payload is written over the part of the copy that is already read, and where it is
 * longer than that, behind the payload. It is the scanner's own memory; before the payload lie its tables.
 */
import { type Machine, type MachineEditor, startMachine } from "./machine.ts";

const PAGE_BYTES = 64 * 1024;
/** A memory that large payloads made larger than this is given back when small ones follow. */
const KEEP_BYTES = 4 * 1024 * 1024;
const SMALL_BYTES = 16 * 1024;
/** Bytes behind the payload: its zero, and what the scanner may read further on. */
const BEHIND = 16;
/** Tables of more scanners than have room here are written again when they are wanted. */
const TABLE_BYTES = 256 * 1024;
/** Below this a loop is faster than a call of `copyWithin`. */
const LOOP_BYTES = 32;
/** Place of the fault, members, elements removed, whether text is special. */
const RESULTS = 4;

export class Workspace {
  /** The payload and a zero byte. Replaced when it must grow: read it again after every edit. */
  bytes: Uint8Array = new Uint8Array(0);
  /** What the last pass has found out, see `wasm/scan.ts`. Replaced together with `bytes`. */
  results: Int32Array = new Int32Array(RESULTS);
  /** Where the payload begins in the scanner's memory. */
  base = 0;
  /** Counts how often what was reserved has been taken back. */
  generation = 0;
  /** Whom the scanner asks. */
  editor: MachineEditor | null = null;

  #machine: Machine | null = null;
  /** How many values were replaced. */
  #replaced = 0;
  #length = 0;
  /** The output is `[outputFrom, outputTo)`. */
  #outputFrom = 0;
  #outputTo = 0;
  /** The payload is in the output up to here, but for what was edited. */
  #taken = 0;
  #text = new Uint8Array(256);

  /** The scanner, which is started when it is first wanted. */
  get machine(): Machine {
    return this.#machine ?? this.#start();
  }

  /** Address of `bytes` bytes of the scanner's memory, to be kept for as long as `generation` stays. A payload that is loaded is lost. */
  reserve(bytes: number): number {
    const { memory, freePlace } = this.machine;
    if (this.base + bytes > TABLE_BYTES) {
      this.generation++;
      this.base = align(freePlace());
    }
    const place = this.base;
    const end = align(place + bytes);
    if (end > memory.buffer.byteLength) grow(memory, end);
    this.base = end;
    this.#look();
    return place;
  }

  /** Starts over with a payload. */
  load(data: Uint8Array): void {
    const length = data.length;
    if (this.bytes.length > KEEP_BYTES && length < SMALL_BYTES) this.#giveBack();
    this.#room(length + BEHIND);
    this.bytes.set(data);
    this.bytes[length] = 0;
    this.#length = length;
    this.#outputFrom = 0;
    this.#outputTo = 0;
    this.#taken = 0;
    this.#replaced = 0;
  }

  /** How many values were removed or replaced. */
  get edits(): number {
    return this.#replaced + (this.results[2] as number);
  }

  /** Leaves out the payload's bytes `[from, to)`, which are read. Edits come in the order of the payload. */
  cut(from: number, to: number): void {
    this.#take(from);
    this.#taken = to;
  }

  /** Leaves out the end `[from, to)` of a value, which makes it another one. */
  shorten(from: number, to: number): void {
    this.#replaced++;
    this.cut(from, to);
  }

  /** Writes `text[0, length)` in place of the payload's bytes `[from, to)`, which are read. */
  replace(from: number, to: number, text: Uint8Array, length: number): void {
    this.#replaced++;
    this.#take(from);
    this.#taken = to;
    this.#makeRoom(length, to);
    const bytes = this.bytes;
    const at = this.#outputTo;
    for (let i = 0; i < length; i++) bytes[at + i] = text[i] as number;
    this.#outputTo = at + length;
  }

  /** Length of the output so far, in bytes. */
  get outputLength(): number {
    return this.#outputTo - this.#outputFrom;
  }

  /** The redacted payload, in memory of its own. */
  finish(): Uint8Array {
    this.#take(this.#length);
    return this.bytes.slice(this.#outputFrom, this.#outputTo);
  }

  /** Scratch for `length` bytes of text. */
  textRoom(length: number): Uint8Array {
    if (this.#text.length < length) this.#text = new Uint8Array(length * 2);
    return this.#text;
  }

  /** Takes the payload over to the output, up to `end`. */
  #take(end: number): void {
    const from = this.#taken;
    const length = end - from;
    this.#makeRoom(length, end);
    const at = this.#outputTo;
    this.#outputTo = at + length;
    if (at === from) return;
    const bytes = this.bytes;
    if (length < LOOP_BYTES) for (let i = 0; i < length; i++) bytes[at + i] = bytes[from + i] as number;
    else bytes.copyWithin(at, from, end);
  }

  /** Room for `length` more bytes of output, the payload being read up to `read`. */
  #makeRoom(length: number, read: number): void {
    const behind = this.#length + BEHIND;
    const needed = this.#outputTo + length;
    if (this.#outputFrom === 0 && needed <= read) return;
    if (this.#outputFrom === 0) {
      const written = this.#outputTo;
      this.#room(behind + needed);
      this.bytes.copyWithin(behind, 0, written);
      this.#outputFrom = behind;
      this.#outputTo = behind + written;
    } else {
      this.#room(needed);
    }
  }

  /** Makes `bytes` as long as `length` at least. */
  #room(length: number): void {
    if (length <= this.bytes.length) return;
    const { memory } = this.machine;
    const end = this.base + length;
    // Once it grows, by a half more.
    if (end > memory.buffer.byteLength) grow(memory, end + (length >> 1));
    this.#look();
  }

  #start(): Machine {
    const machine = startMachine(() => this.editor as MachineEditor);
    this.#machine = machine;
    this.base = Math.max(this.base, align(machine.freePlace()));
    this.#look();
    return machine;
  }

  /** Takes a small memory instead, with the same tables. */
  #giveBack(): void {
    const tables = new Uint8Array(this.machine.memory.buffer, 0, this.base);
    const { memory } = this.#start();
    if (tables.length > memory.buffer.byteLength) grow(memory, tables.length);
    new Uint8Array(memory.buffer).set(tables);
    this.#look();
  }

  /** The memory's views, after it was replaced or has grown. */
  #look(): void {
    const { memory, resultsPlace } = this.machine;
    this.results = new Int32Array(memory.buffer, resultsPlace(), RESULTS);
    this.bytes =
      this.base < memory.buffer.byteLength ? new Uint8Array(memory.buffer, this.base) : new Uint8Array(0);
  }
}

const align = (address: number) => (address + 7) & ~7;

/** Grows a memory to `bytes` bytes at least. */
function grow(memory: WebAssembly.Memory, bytes: number): void {
  memory.grow(Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES));
}
