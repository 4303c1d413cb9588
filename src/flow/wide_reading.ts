/**
 * Whether a view's worker reads its source without filters and skips by itself what they do not pass. What a filter costs
 * the server grows with how many different subjects the source holds, and with several filters steeply: at 1,700 subjects two
 * filters took 330 to 560 µs for each event that they let pass, one took 35, none 4.5 (`scripts/bench/reader.ts`).
 */
import type { ViewPosition } from "./view_position.ts";

/** What a reader with filters costs the server for each event that it delivers, microseconds. */
function costUs(filters: number, subjects: number): number {
  return filters === 1 ? 7 + subjects / 60 : 17 + subjects / 5;
}

/** What an event costs that is read without filters and perhaps skipped, the worker's part with it. */
const WIDE_US = 5.3;
/** Well below, so that it does not go to and fro. */
const NARROW_US = 3.5;
/** Of fewer events the share that is wanted is not known. */
const KNOWN_FROM = 5_000;
const UNKNOWN_SHARE = 0.5;

/** Whether a session begins without filters. */
export function startsWide({
  filters,
  subjects,
  recorded,
  pending,
  end,
  firstSequence,
}: ViewPosition): boolean {
  if (filters.length === 0) return false;
  const all = end - Math.max(recorded, firstSequence - 1);
  const share = all < KNOWN_FROM ? UNKNOWN_SHARE : pending / all;
  return share * costUs(filters.length, subjects) >= WIDE_US;
}

/**
 * Whether a session that runs is to begin anew the other way.
 * @param share of the source's events that the filters pass, of those that went by lately
 */
export function turnsWide(
  wide: boolean,
  share: number,
  { filters, subjects }: Pick<ViewPosition, "filters" | "subjects">,
): boolean {
  if (filters.length === 0) return false;
  const worth = share * costUs(filters.length, subjects);
  return wide ? worth < NARROW_US : worth >= WIDE_US;
}
