/** Sets of detectors that look through texts together, and the redactions of what they find. */
import type { CustomDetector, DetectorName } from "../../../model/schema/redaction.ts";
import { FAULT, type Fault } from "../limits.ts";
import { findCards } from "./card.ts";
import { type Budget, customDetector, type FindCustom } from "./custom.ts";
import { findEmails } from "./email.ts";
import type { Hits } from "./hits.ts";
import { findIbans } from "./iban.ts";
import { findIps } from "./ip.ts";
import { findPhones } from "./phone.ts";
import { findTokens } from "./token.ts";

/** Finds spans of one kind in `text[from, to)` and adds them. */
type Find = (text: Uint8Array, from: number, to: number, hits: Hits) => void;

/** What a text must at least have for a detector to look at it. */
interface Needs {
  readonly digits: number;
  readonly bytes: number;
  /** One of these characters, as bits of `MARKS`; 0 for none. */
  readonly marks: number;
}

const AT = 1;
const DOT = 2;
const COLON = 4;
const PERCENT = 8;

const BUILT_IN: Readonly<Record<DetectorName, { readonly find: Find; readonly needs: Needs }>> = {
  email: { find: findEmails, needs: { digits: 0, bytes: 5, marks: AT | PERCENT } },
  card: { find: findCards, needs: { digits: 13, bytes: 13, marks: 0 } },
  iban: { find: findIbans, needs: { digits: 2, bytes: 15, marks: 0 } },
  phone: { find: findPhones, needs: { digits: 7, bytes: 8, marks: 0 } },
  ip: { find: findIps, needs: { digits: 0, bytes: 3, marks: DOT | COLON } },
  token: { find: findTokens, needs: { digits: 0, bytes: 8, marks: 0 } },
};

const MARKS = markTable();
/** Nobody writes a card with more characters. */
const MOST_NUMBER = 64;

/** One redaction with the detectors that it names. */
export interface Detecting {
  /** Index of the redaction. */
  readonly owner: number;
  readonly detectors: readonly (DetectorName | CustomDetector)[];
}

/** The detectors that look at texts of one place. */
export class DetectorSet {
  readonly #builtIn: readonly { readonly owner: number; readonly find: Find; readonly needs: Needs }[];
  readonly #custom: readonly { readonly owner: number; readonly find: FindCustom }[];
  readonly #cards: readonly number[];
  readonly #strengths: readonly number[];
  readonly #keepsPart: readonly boolean[];

  /** @param strengths How strict each redaction is, and whether it leaves a part readable, by its index */
  constructor(
    parts: readonly Detecting[],
    redactions: { readonly strengths: readonly number[]; readonly keepsPart: readonly boolean[] },
  ) {
    this.#builtIn = parts.flatMap(({ owner, detectors }) =>
      detectors.flatMap((one) => (typeof one === "string" ? [{ owner, ...BUILT_IN[one] }] : [])),
    );
    this.#custom = parts.flatMap(({ owner, detectors }) =>
      detectors.flatMap((one) => (typeof one === "string" ? [] : [{ owner, find: customDetector(one) }])),
    );
    this.#cards = parts.flatMap(({ owner, detectors }) => (detectors.includes("card") ? [owner] : []));
    this.#strengths = redactions.strengths;
    this.#keepsPart = redactions.keepsPart;
  }

  /** Puts what is found in the unescaped text `text[from, to)` in `hits`, in order, apart, and on borders of characters. */
  find(text: Uint8Array, from: number, to: number, hits: Hits, budget: Budget): Fault {
    hits.clear();
    let digits = 0;
    let marks = 0;
    for (let i = from; i < to; i++) {
      const mark = MARKS[text[i] as number] as number;
      digits += mark >> 4;
      marks |= mark;
    }
    for (const { owner, find, needs } of this.#builtIn) {
      if (digits < needs.digits || to - from < needs.bytes) continue;
      if (needs.marks !== 0 && (marks & needs.marks) === 0) continue;
      hits.owner = owner;
      find(text, from, to, hits);
    }
    return this.#finish(text, from, to, hits, budget);
  }

  /** The same for a number: cards of its digits alone, however the integer is written, and patterns as it is written. */
  findInNumber(text: Uint8Array, from: number, to: number, hits: Hits, budget: Budget): Fault {
    hits.clear();
    if (to - from >= 13 && this.#cards.length > 0) {
      const digits = isDigits(text, from, to) ? text.subarray(from, to) : integerDigits(text, from, to);
      for (const owner of this.#cards) {
        if (digits === null) break;
        const before = hits.count;
        hits.owner = owner;
        findCards(digits, 0, digits.length, hits);
        if (hits.count === before) break;
        // Their places are those in the digits; the number is redacted as a whole.
        hits.count = before;
        hits.add(from, to);
      }
    }
    return this.#finish(text, from, to, hits, budget);
  }

  #finish(text: Uint8Array, from: number, to: number, hits: Hits, budget: Budget): Fault {
    for (const { owner, find } of this.#custom) {
      hits.owner = owner;
      if (!find(text, from, to, hits, budget)) return FAULT.tooCostly;
    }
    if (hits.count === 0) return FAULT.ok;
    for (let i = 0; i < hits.count; i++) {
      while ((hits.starts[i] as number) > from && isContinuation(text[hits.starts[i] as number])) {
        hits.starts[i] = (hits.starts[i] as number) - 1;
      }
      while ((hits.ends[i] as number) < to && isContinuation(text[hits.ends[i] as number])) {
        hits.ends[i] = (hits.ends[i] as number) + 1;
      }
    }
    hits.settle(this.#strengths, this.#keepsPart);
    return FAULT.ok;
  }
}

function isContinuation(byte: number | undefined): boolean {
  return ((byte as number) & 0xc0) === 0x80;
}

function isDigits(text: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if ((text[i] as number) < 0x30 || (text[i] as number) > 0x39) return false;
  return true;
}

/** The digits of an integer that is written with a fraction of zeros or an exponent; `null` when it is no exact integer. */
function integerDigits(text: Uint8Array, from: number, to: number): Uint8Array | null {
  const value = Number(String.fromCharCode(...text.subarray(from, Math.min(to, from + MOST_NUMBER))));
  return value > 0 && Number.isSafeInteger(value) ? new TextEncoder().encode(String(value)) : null;
}

/** By byte: bit 4 for digits, the lower ones as in `Needs`. */
function markTable(): Uint8Array {
  const table = new Uint8Array(256);
  table.fill(16, 0x30, 0x3a);
  table[0x40] = AT;
  table[0x2e] = DOT;
  table[0x3a] = COLON;
  table[0x25] = PERCENT;
  return table;
}
