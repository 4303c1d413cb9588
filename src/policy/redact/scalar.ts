/** Numbers and literals of JSON as bytes. Source: RFC 8259, sections 3 and 6. */

const ZERO = 0x30;
const NINE = 0x39;

/** The place behind the number that begins at `from`, or -1 when none does. `bytes` ends with a zero. */
export function numberEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  let byte = bytes[at] as number;
  if (byte === 0x2d) byte = bytes[++at] as number;
  if (byte === ZERO) byte = bytes[++at] as number;
  else if (byte > ZERO && byte <= NINE) {
    do byte = bytes[++at] as number;
    while (byte >= ZERO && byte <= NINE);
  } else return -1;
  if (byte === 0x2e) {
    byte = bytes[++at] as number;
    if (byte < ZERO || byte > NINE) return -1;
    do byte = bytes[++at] as number;
    while (byte >= ZERO && byte <= NINE);
  }
  if (byte === 0x65 || byte === 0x45) {
    byte = bytes[++at] as number;
    if (byte === 0x2b || byte === 0x2d) byte = bytes[++at] as number;
    if (byte < ZERO || byte > NINE) return -1;
    do byte = bytes[++at] as number;
    while (byte >= ZERO && byte <= NINE);
  }
  return at;
}

const TRUE = Uint8Array.from("true", (char) => char.charCodeAt(0));
const FALSE = Uint8Array.from("false", (char) => char.charCodeAt(0));
const NULL = Uint8Array.from("null", (char) => char.charCodeAt(0));

/** The place behind the `true`, `false` or `null` that begins at `from`, or -1 when none does. */
export function literalEnd(bytes: Uint8Array, from: number): number {
  const first = bytes[from] as number;
  const literal = first === 0x74 ? TRUE : first === 0x66 ? FALSE : NULL;
  for (let i = 0; i < literal.length; i++) if (bytes[from + i] !== literal[i]) return -1;
  return from + literal.length;
}
