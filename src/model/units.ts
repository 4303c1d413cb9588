/** Sizes and durations as people write them: `2GiB`, `512KB`, `7d`, `1h30m`, `250ms`. */

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};
const MILLIS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
  d: 86_400e3,
  w: 604_800e3,
};

/** Bytes of a size such as `2GiB`, `1.5MB` or `1024` (bytes); `null` when it is no size. */
export function parseBytes(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?$/.exec(text.trim());
  if (found === null) return null;
  const bytes = Number(found[1]) * (BYTES[found[2] ?? "B"] ?? Number.NaN);
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : null;
}

/** Milliseconds of a duration such as `7d`, `1h30m` or `250ms`; `null` when it is no duration. */
export function parseDurationMs(text: string): number | null {
  const trimmed = text.trim();
  if (!/^(\d+(?:\.\d+)?(?:ms|[smhdw]))+$/.test(trimmed)) return null;
  let total = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    total += Number(amount) * (MILLIS[unit ?? ""] ?? Number.NaN);
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : null;
}

const PER_SECOND: Readonly<Record<string, number>> = { s: 1, m: 1 / 60, h: 1 / 3600 };

/** Per second, of a rate such as `500/s`, `30/m` or `1000/h`; `null` when it is no rate. */
export function parseRate(text: string): number | null {
  const found = /^(\d{1,12}(?:\.\d{1,6})?)\s*\/\s*([smh])$/.exec(text.trim());
  return found === null ? null : Number(found[1]) * (PER_SECOND[found[2] ?? ""] ?? Number.NaN);
}

/** Bytes per second, of a rate such as `1MiB/s`; `null` when it is no rate. */
export function parseByteRate(text: string): number | null {
  const found = /^([^/]+)\/\s*([smh])$/.exec(text.trim());
  const bytes = found === null ? null : parseBytes(found[1] ?? "");
  return bytes === null ? null : bytes * (PER_SECOND[found?.[2] ?? ""] ?? Number.NaN);
}

/** `2GiB` for 2147483648: the largest binary unit that divides evenly. */
export function formatBytes(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const size = BYTES[unit] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

/** `7d` for 604800000: the largest unit that divides evenly (days at most). */
export function formatDurationMs(ms: number): string {
  for (const unit of ["d", "h", "m", "s"]) {
    const size = MILLIS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** `3.2 MiB`: bytes as people read them, rounded. Use {@link formatBytes} for what is read again. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Nanoseconds, the unit of durations in JetStream's API, of milliseconds. */
export function nanos(ms: number): number {
  return ms * 1e6;
}

/** The two largest parts of a span, as people read it: `3h 12m`, `0s`. @param seconds whole, not negative */
export function spanText(seconds: number): string {
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(" ");
}
