/**
 * IBANs (ISO 13616): two letters, two check digits and 11 to 30 letters and digits with the right remainder of 97, in one or with
 * one space, dash or dot between groups. Of countries in the registry only the length that they have; of others any length that
 * ends where a group does.
 */
import { isDigit, isLetter, isWord, separatorLength } from "./bytes.ts";
import type { Hits } from "./hits.ts";

const FEWEST = 15;
const MOST = 34;
/** The first four characters, as six digits, are read behind the rest: that is a million times as much then. */
const HEAD_SHIFT = 1_000_000 % 97;

const LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22" +
    "GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31" +
    "MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"
  )
    .match(/.{4}/g)
    ?.map((entry) => [entry.slice(0, 2), Number(entry.slice(2))] as const),
);

export function findIbans(text: Uint8Array, from: number, to: number, hits: Hits): void {
  for (let at = from; at + FEWEST <= to; at++) {
    if (!isLetter(text[at]) || !isLetter(text[at + 1])) continue;
    let check = at + 2;
    if (!isDigit(text[check])) check += separatorLength(text, check, to);
    if (!isDigit(text[check]) || !isDigit(text[check + 1])) continue;
    const end = ibanEnd(text, at, to);
    if (end < 0) continue;
    hits.add(at, end);
    at = end - 1;
  }
}

/** The end of the longest IBAN that begins at `from`, or -1. */
function ibanEnd(text: Uint8Array, from: number, to: number): number {
  const country = String.fromCharCode((text[from] as number) & 0xdf, (text[from + 1] as number) & 0xdf);
  const known = LENGTHS.get(country);
  const most = known ?? MOST;
  // The first four are read last.
  let head = 0;
  let rest = 0;
  let count = 0;
  let end = -1;
  for (let at = from; at < to && count < most; ) {
    const byte = text[at] as number;
    if (!isWord(byte)) {
      const separator = separatorLength(text, at, to);
      if (separator === 0) return end;
      at += separator;
      if (at >= to || !isWord(text[at])) return end;
      continue;
    }
    if (count < 4) head = append(head, byte);
    else rest = append(rest, byte);
    count++;
    at++;
    const whole = known === undefined ? count >= FEWEST && (at === to || !isWord(text[at])) : count === known;
    if (whole && (rest * HEAD_SHIFT + head) % 97 === 1) end = at;
  }
  return end;
}

function append(remainder: number, byte: number): number {
  return isDigit(byte) ? (remainder * 10 + byte - 0x30) % 97 : (remainder * 100 + (byte & 0xdf) - 55) % 97;
}
