/** Numbers and literals of JSON as bytes. Source: RFC 8259, sections 3 and 6. AssemblyScript, see `../scan.ts`. */

const ZERO: i32 = 0x30;
const TRUE: u32 = 0x6575_7274;
const NULL: u32 = 0x6c6c_756e;
/** All but its first letter. */
const FALSE: u32 = 0x6573_6c61;

/** The place behind the number, `true`, `false` or `null` that begins at `from`, or 0 when none does. A zero byte follows the text. */
export function scalarEnd(from: usize): usize {
  return load<u8>(from) > 0x39 ? literalEnd(from) : numberEnd(from);
}

function literalEnd(from: usize): usize {
  const word = load<u32>(from);
  if (word === TRUE || word === NULL) return from + 4;
  return load<u8>(from) === 0x66 && load<u32>(from + 1) === FALSE ? from + 5 : 0;
}

function numberEnd(from: usize): usize {
  let at = from;
  if (load<u8>(at) === 0x2d) at++;
  if (load<u8>(at) === ZERO) at++;
  else {
    at = digitsEnd(at);
    if (at === 0) return 0;
  }
  if (load<u8>(at) === 0x2e) {
    at = digitsEnd(at + 1);
    if (at === 0) return 0;
  }
  if ((load<u8>(at) | 0x20) === 0x65) {
    at++;
    const sign = load<u8>(at);
    if (sign === 0x2b || sign === 0x2d) at++;
    return digitsEnd(at);
  }
  return at;
}

/** The place behind the digits that begin at `from`, or 0 when there is none. */
function digitsEnd(from: usize): usize {
  let at = from;
  while (<u32>(load<u8>(at) - ZERO) <= 9) at++;
  return at === from ? 0 : at;
}
