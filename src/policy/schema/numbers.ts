/**
 * Numbers as JSON writes them, exactly. A double holds about 17 digits: `9007199254740993` and `9007199254740992` are one
 * double, and a contract that told them apart by it would be wrong.
 */

/** `digits · 10^exponent`, without zeros at the end of the digits; zero is `0 · 10^0`. */
export interface Decimal {
  readonly digits: bigint;
  readonly exponent: number;
}

/** Longer numbers are not looked at. */
const MOST_DIGITS = 400;
const MOST_EXPONENT = 1_500;

/** Reads a JSON number; `null` when it is longer or larger than anybody means. */
export function parseDecimal(source: string): Decimal | null {
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source);
  if (found === null) return null;
  const [, sign = "", whole = "", fraction = "", power = "0"] = found;
  if (whole.length + fraction.length > MOST_DIGITS || power.length > 8) return null;
  const text = (whole + fraction).replace(/^0+/, "");
  const digits = text.replace(/0+$/, "");
  if (digits === "") return { digits: 0n, exponent: 0 };
  const exponent = Number(power) - fraction.length + (text.length - digits.length);
  if (Math.abs(exponent) > MOST_EXPONENT) return null;
  return { digits: BigInt(sign + digits), exponent };
}

/** The decimal that a finite double is written as: the shortest one that reads as the same double. */
export function decimalOf(value: number): Decimal {
  return parseDecimal(String(value)) ?? { digits: 0n, exponent: 0 };
}

export function compareDecimals(left: Decimal, right: Decimal): number {
  const low = Math.min(left.exponent, right.exponent);
  const a = left.digits * 10n ** BigInt(left.exponent - low);
  const b = right.digits * 10n ** BigInt(right.exponent - low);
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isMultipleOf(value: Decimal, divisor: Decimal): boolean {
  if (divisor.digits === 0n) return false;
  const low = Math.min(value.exponent, divisor.exponent);
  return (
    (value.digits * 10n ** BigInt(value.exponent - low)) %
      (divisor.digits * 10n ** BigInt(divisor.exponent - low)) ===
    0n
  );
}

export function isInteger(value: Decimal): boolean {
  return value.exponent >= 0;
}

/** One text for each number: `1`, `1.0` and `10e-1` have the same. */
export function decimalText({ digits, exponent }: Decimal): string {
  return `${digits}e${exponent}`;
}

/** Whether a text may hold a number that a double rounds: 16 digits or more, or an exponent of three. May say so of others. */
export function mayRound(text: string): boolean {
  return /[0-9][0-9.]{15}|[0-9][eE][+-]?0*[1-9][0-9]{2}/.test(text);
}
