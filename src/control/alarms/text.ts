/** Times in alarms, as people read them. */
import { spanText } from "../../model/units.ts";

/** `12m 3s`, of milliseconds from now on; what is over is `0s`. */
export function waitText(ms: number): string {
  return spanText(Math.max(0, Math.round(ms / 1000)));
}
