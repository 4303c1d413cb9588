/** Header blocks of NATS as records, for what people read and write. Source: ADR-4. */
import { LeafmeshError } from "../model/errors.ts";

const STATUS_LINE = "NATS/1.0";

/** The raw block of a record; empty for no headers. @throws {LeafmeshError} `request_invalid` for what no header may hold. */
export function headerBlock(record: Readonly<Record<string, string | readonly string[]>>): Uint8Array {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(record)) {
    if (!/^[!-9;-~]+$/.test(name)) throw new LeafmeshError("request_invalid", `'${name}' is no header name`);
    for (const one of typeof value === "string" ? [value] : value) {
      if (/[\r\n\0]/.test(one)) {
        throw new LeafmeshError("request_invalid", `The value of header '${name}' has a line break or NUL`);
      }
      lines.push(`${name}: ${one}`);
    }
  }
  if (lines.length === 0) return new Uint8Array();
  return new TextEncoder().encode(`${[STATUS_LINE, ...lines].join("\r\n")}\r\n\r\n`);
}

/** The record of a raw block; every value of a repeated name, in order. */
export function headerRecord(block: Uint8Array): Record<string, string[]> {
  // Whoever publishes names headers, `constructor` and `__proto__` too.
  const values = new Map<string, string[]>();
  for (const line of new TextDecoder().decode(block).split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    const earlier = values.get(name);
    if (earlier === undefined) values.set(name, [value]);
    else earlier.push(value);
  }
  return Object.fromEntries(values);
}
