/** How findings name flows and the places that they pass. */
import type { RelatedPlace } from "../../model/finding.ts";
import { reduce } from "../../model/subject.ts";
import { type PlacedImport, placed } from "./mesh.ts";
import type { Arrival, Hop } from "./paths.ts";

const MOST_NAMED = 3;

/** `a`, `a and b`, `a, b and c`. */
export function listOf(words: readonly string[]): string {
  const last = words[words.length - 1] ?? "";
  return words.length <= 1 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}

/** Subjects as a sentence names them: those that no other holds, and of many the first. */
export function subjectsText(patterns: readonly string[]): string {
  const few = reduce(patterns);
  if (few.length <= MOST_NAMED + 1) return listOf(few);
  return listOf([...few.slice(0, MOST_NAMED), `${few.length - MOST_NAMED} more`]);
}

/** Path of the pattern by which a rule lets events out. */
export function rulePath({ route, rule, subject }: Hop): string {
  return `${route.exported.path}.rules[${rule}].subjects[${subject}]`;
}

/** Where a site lets events out. */
export function exportPlace(hop: Hop): RelatedPlace {
  const { exported, to } = hop.route;
  return placed(exported.site, rulePath(hop), `${exported.site.name} exports it to ${to}`);
}

/** Where a site takes events in. */
export function importPlace({ site, policy, path }: PlacedImport): RelatedPlace {
  return placed(site, path, `${site.name} imports it from ${policy.from}`);
}

/** An arrival where apps see the events: in no mirror, and at a site whose file is there. */
export type LiveArrival = Arrival & { readonly imported: PlacedImport };

/** Whether apps see the events there. */
export function isLive(arrival: Arrival): arrival is LiveArrival {
  return arrival.imported !== null && arrival.imported.policy.mirror !== true;
}
