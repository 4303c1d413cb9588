/** Numbers in alarms, as people read them. */
import { spanText } from "../../model/units.ts";

/** `3.2 MiB`. */
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

/** `12m 3s`, of milliseconds from now on; what is over is `0s`. */
export function waitText(ms: number): string {
  return spanText(Math.max(0, Math.round(ms / 1000)));
}
