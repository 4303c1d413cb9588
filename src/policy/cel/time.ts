/** Timestamps and durations of conditions, to the nanosecond. */
import { fail } from "./failure.ts";
import { Duration, NANOS, Timestamp } from "./values.ts";

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/;

/** Reads a time of RFC 3339. */
export function parseTimestamp(text: string): Timestamp {
  const parts = RFC3339.exec(text);
  if (parts === null) return fail("conversion_failed");
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (year < 1 || !exists || hour > 23 || minute > 59 || second > 59) return fail("conversion_failed");
  date.setUTCHours(hour, minute, second);
  const offset = (Number(parts[9] ?? 0) * 60 + Number(parts[10] ?? 0)) * (parts[8] === "-" ? -60 : 60);
  const seconds = BigInt(date.getTime() / 1000 - offset);
  return new Timestamp(seconds * NANOS + BigInt((parts[7] ?? "").padEnd(9, "0")));
}

/** Writes a time as RFC 3339 in UTC. */
export function formatTimestamp({ nanos }: Timestamp): string {
  const fraction = modulo(nanos, NANOS);
  const whole = new Date(Number((nanos - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  return `${whole}${formatFraction(fraction)}Z`;
}

function formatFraction(nanos: bigint): string {
  return nanos === 0n ? "" : `.${nanos.toString().padStart(9, "0").replace(/0+$/, "")}`;
}

const UNITS: Readonly<Record<string, bigint>> = {
  h: 3600n * NANOS,
  m: 60n * NANOS,
  s: NANOS,
  ms: 1_000_000n,
  us: 1000n,
  µs: 1000n,
  ns: 1n,
};
const SPAN = /^([+-]?)((?:(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:h|ms|m|s|us|µs|ns))+)$/;
const PART = /(\d*)(?:\.(\d*))?(h|ms|m|s|us|µs|ns)/g;

/** Reads a span such as `1h30m` or `-1.5s`. */
export function parseDuration(text: string): Duration {
  if (/^[+-]?0$/.test(text)) return new Duration(0n);
  const span = text.length > 128 ? null : SPAN.exec(text);
  if (span === null) return fail("conversion_failed");
  let nanos = 0n;
  for (const [, whole, fraction = "", unit = "s"] of (span[2] as string).matchAll(PART)) {
    const size = UNITS[unit] as bigint;
    nanos += BigInt(whole || "0") * size + (BigInt(fraction || "0") * size) / 10n ** BigInt(fraction.length);
  }
  return new Duration(span[1] === "-" ? -nanos : nanos);
}

/** Writes a span in seconds. */
export function formatDuration({ nanos }: Duration): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  return `${nanos < 0n ? "-" : ""}${absolute / NANOS}${formatFraction(absolute % NANOS)}s`;
}

/** Minutes that a zone of the form `+02:00`, or `UTC`, is ahead; `null` for others, whose rules change with the runtime. */
export function zoneOffset(zone: string): number | null {
  if (zone === "UTC" || zone === "Z") return 0;
  const parts = /^([+-]?)([01]\d|2[0-3]):([0-5]\d)$/.exec(zone);
  if (parts === null) return null;
  const minutes = Number(parts[2]) * 60 + Number(parts[3]);
  return parts[1] === "-" ? -minutes : minutes;
}

/** Parts of a time that can be asked for, from its date in the wanted zone. */
export const TIME_PARTS: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) => Math.floor((date.getTime() - startOfYear(date)) / 86_400_000),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};

function startOfYear(date: Date): number {
  return new Date(0).setUTCFullYear(date.getUTCFullYear(), 0, 1);
}

/** The date of a time in a zone that is so many minutes ahead of UTC. */
export function dateOf({ nanos }: Timestamp, offset: number): Date {
  return new Date(Number((nanos - modulo(nanos, 1_000_000n)) / 1_000_000n) + offset * 60_000);
}

/** Parts of a span that can be asked for. */
export const SPAN_PARTS: Readonly<Record<string, (nanos: bigint) => bigint>> = {
  getHours: (nanos) => nanos / (3600n * NANOS),
  getMinutes: (nanos) => nanos / (60n * NANOS),
  getSeconds: (nanos) => nanos / NANOS,
  getMilliseconds: (nanos) => (nanos % NANOS) / 1_000_000n,
};

function modulo(value: bigint, by: bigint): bigint {
  const rest = value % by;
  return rest < 0n ? rest + by : rest;
}
