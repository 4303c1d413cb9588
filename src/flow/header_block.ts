/** Reads raw header blocks (`NATS/1.0\r\nName: value\r\n…\r\n`) without building objects. */

const CR = 13;
const LF = 10;
const COLON = 58;
const SPACE = 32;
const MSG_ID = new TextEncoder().encode("Nats-Msg-Id");

/** The line of the header `Nats-Msg-Id`: offsets into its block. */
export interface IdLine {
  /** Where the line starts. */
  readonly start: number;
  /** Where the next line starts. */
  readonly end: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

function isId(block: Uint8Array, at: number): boolean {
  for (let i = 0; i < MSG_ID.length; i++) if (block[at + i] !== MSG_ID[i]) return false;
  return block[at + MSG_ID.length] === COLON;
}

/** The first line named `Nats-Msg-Id`, case-sensitive as the server reads it; `null` when there is none with a value. */
export function findMsgId(block: Uint8Array): IdLine | null {
  let start = headerLinesStart(block);
  if (start === 0) return null;
  for (let at = start; at < block.length; at++) {
    if (block[at] !== LF) continue;
    if (block[start] === MSG_ID[0] && isId(block, start)) return idLine(block, start, at + 1);
    start = at + 1;
  }
  return null;
}

function idLine(block: Uint8Array, start: number, end: number): IdLine | null {
  let valueStart = start + MSG_ID.length + 1;
  let valueEnd = end - 1;
  while (valueStart < valueEnd && block[valueStart] === SPACE) valueStart++;
  while (valueEnd > valueStart && (block[valueEnd - 1] === CR || block[valueEnd - 1] === SPACE)) valueEnd--;
  return valueEnd > valueStart ? { start, end, valueStart, valueEnd } : null;
}

/** The header lines and the empty line of an event without headers. */
export const NO_HEADER_LINES: Uint8Array = new TextEncoder().encode("\r\n");

/** Where the lines after a block's first one start; 0 for an empty block. */
export function headerLinesStart(block: Uint8Array): number {
  // "NATS/1.0\r\n" but for the rare status line
  return block.length > 9 && block[9] === LF ? 10 : block.indexOf(LF) + 1;
}

/** `block` without the bytes `from` to `to`. */
export function withoutBytes(block: Uint8Array, from: number, to: number): Uint8Array {
  const out = new Uint8Array(block.length - (to - from));
  out.set(block.subarray(0, from));
  out.set(block.subarray(to), from);
  return out;
}

/** The value of the first header `name` of a block; `null` when there is none. */
export function headerValue(block: Uint8Array, name: string): string | null {
  for (const line of new TextDecoder().decode(block).split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon > 0 && line.slice(0, colon) === name) return line.slice(colon + 1).trim();
  }
  return null;
}

/** Text as one header value can hold it: ASCII on a single line, at most `maxLength` characters. */
export function singleLine(text: string, maxLength = 512): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must go
  const plain = text.replace(/[\u0000-\u001f\u007f]+/g, " ").replace(/[^\x20-\x7e]/g, "?");
  return plain.trim().slice(0, maxLength);
}
