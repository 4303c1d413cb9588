/** Events that come to a site twice: because they come back, or because two ways lead there. */
import type { Finding, RelatedPlace } from "../../model/finding.ts";
import { intersect } from "../../model/subject.ts";
import { outsideOf } from "../../model/subject_cover.ts";
import { finding } from "./mesh.ts";
import type { Arrival, ArrivalsOf, LintWork } from "./paths.ts";
import { patternOf } from "./terms.ts";
import {
  exportPlace,
  importPlace,
  isLive,
  type LiveArrival,
  listOf,
  rulePath,
  subjectsText,
} from "./wording.ts";

/** Most pairs of arrivals at one site that are compared. */
const MOST_PAIRS = 65_536;

/** Events that come back to a site that they have passed. */
export function findLoops({ origin, arrivals }: ArrivalsOf): Finding[] {
  const loops = Map.groupBy(
    arrivals.filter(isLive).filter((one) => one.closes),
    (one) => JSON.stringify([one.sites, ...lastStep(one)]),
  );
  return [...loops.values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    const { at: site } = first;
    const via = first.sites.slice(first.sites.indexOf(site) + 1, -1);
    const message = `${subjectsText(same.map(sourceOf))} of ${origin} comes back to ${site} via ${listOf(via)}`;
    const steps = first.hops.slice(0, -1).map(exportPlace);
    const taken = importPlace(first.imported);
    const last = first.hops[first.hops.length - 1];
    if (last === undefined) return [finding("loop", first.imported, message, steps)];
    return [
      finding("loop", { site: last.route.exported.site, path: rulePath(last) }, message, [...steps, taken]),
    ];
  });
}

/** Two ways that meet at a site, and what was published that comes over both. */
export interface Meeting {
  readonly first: LiveArrival;
  readonly second: LiveArrival;
  readonly shared: readonly string[];
}

/** Events that a site takes in over two ways which meet there. */
export function findTwoPaths(all: ArrivalsOf, work: LintWork): Finding[] {
  const { meetings, unfinished } = findMeetings(all, work);
  return [
    ...meetings.map((meeting) => twoPaths(all.origin, meeting)),
    ...unfinished.map((arrival) => tooMany(all.origin, arrival)),
  ];
}

/** All pairs of ways that meet, and for each site where there are too many to compare all an arrival there. */
export function findMeetings(
  { arrivals }: ArrivalsOf,
  work: LintWork,
): { readonly meetings: readonly Meeting[]; readonly unfinished: readonly LiveArrival[] } {
  const bySite = Map.groupBy(
    arrivals.filter(isLive).filter((one) => !one.closes),
    (one) => one.at,
  );
  const meetings: Meeting[] = [];
  const unfinished: LiveArrival[] = [];
  for (const there of bySite.values()) {
    const ways = [...Map.groupBy(there, (one) => JSON.stringify([one.sites, ...lastStep(one)])).values()];
    const [any] = there;
    let left = MOST_PAIRS;
    for (const [index, way] of ways.entries()) {
      for (const other of ways.slice(index + 1)) {
        if (left < 0) break;
        left -= way.length * other.length;
        work.comparisons += way.length * other.length;
        const meeting = meetingOf(way, other);
        if (meeting !== null) meetings.push(meeting);
      }
    }
    if (left < 0 && any !== undefined) unfinished.push(any);
  }
  return { meetings, unfinished };
}

/** What comes over both ways; `null` when nothing does. Ways over one sender have met there, and are told of there. */
function meetingOf(way: readonly LiveArrival[], other: readonly LiveArrival[]): Meeting | null {
  let meeting: { first: LiveArrival; second: LiveArrival } | null = null;
  const shared: string[] = [];
  for (const left of way) {
    for (const right of other) {
      if (sameSender(left, right)) return null;
      const found = sharedSubjects(left, right);
      if (found === null) continue;
      shared.push(found);
      const [first, second] = left.sites.length <= right.sites.length ? [left, right] : [right, left];
      meeting ??= { first, second };
    }
  }
  return meeting === null ? null : { ...meeting, shared };
}

function twoPaths(origin: string, { first, second, shared }: Meeting): Finding {
  const { at: site } = first;
  const message = `${subjectsText(shared)} of ${origin} reaches ${site} both ${wayText(first)} and ${wayText(second)}`;
  const steps = [first, second].flatMap((way) => way.hops.map(exportPlace));
  const same = first.imported === second.imported;
  const related: RelatedPlace[] = [...(same ? [] : [importPlace(first.imported)]), ...steps];
  return finding("two-paths", second.imported, message, unique(related));
}

function wayText({ sites }: Arrival): string {
  const via = sites.slice(1, -1);
  return via.length === 0 ? "directly" : `via ${listOf(via)}`;
}

function tooMany(origin: string, { imported }: LiveArrival): Finding {
  return finding(
    "too-many-paths",
    imported,
    `Events of ${origin} reach ${imported.site.name} over too many ways to compare them all`,
  );
}

/** A tenant and an origin whose events could not be followed to the end. */
export function findUnfollowed({ tenant, origin, arrivals, cut }: ArrivalsOf): Finding[] {
  const last = arrivals.findLast(isLive);
  if (!cut || last === undefined) return [];
  return [
    finding(
      "too-many-paths",
      last.imported,
      `Events of ${tenant} from ${origin} go over more ways than the ${arrivals.length} that were followed`,
    ),
  ];
}

/** Published subjects that take both ways; `null` when none does. */
function sharedSubjects(left: Arrival, right: Arrival): string | null {
  const shared = intersect(sourceOf(left), sourceOf(right));
  return shared === null || outsideOf(shared, [...left.cuts, ...right.cuts]) === null ? null : shared;
}

function sourceOf(arrival: Arrival): string {
  return patternOf(arrival.source);
}

/** Export policy and import of the last step. */
function lastStep({ hops, imported }: LiveArrival): string[] {
  const last = hops[hops.length - 1];
  return [last === undefined ? "" : last.route.exported.path, imported.path];
}

/** Ways over one site have met there; two exports of it to one peer are told by themselves. */
function sameSender(left: LiveArrival, right: LiveArrival): boolean {
  return left.sites[left.sites.length - 2] === right.sites[right.sites.length - 2];
}

function unique(places: readonly RelatedPlace[]): RelatedPlace[] {
  return [...new Map(places.map((one) => [JSON.stringify(one), one])).values()];
}
