/** Durations as programs in Go print them. */

const GO_UNITS_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  µs: 1e-3,
  us: 1e-3,
  ns: 1e-6,
};

/** Milliseconds of a duration as Go prints it (`1m2.5s`, `312.5µs`); `null` when it is none. */
export function parseGoDurationMs(text: string | undefined): number | null {
  if (text === undefined || !/^([\d.]+(h|ms|m|s|µs|us|ns))+$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(h|ms|m|s|µs|us|ns)/g)) {
    total += Number(amount) * (GO_UNITS_MS[unit ?? ""] ?? Number.NaN);
  }
  return Number.isFinite(total) ? total : null;
}
