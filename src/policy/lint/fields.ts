/**
 * Whether redactions provably select every value that a path selects. Paths are languages over the steps from the root to a
 * value (a member's name, an element's index), so the question is whether one language holds another, and it is answered
 * exactly: by following both side by side over the classes of steps that the paths tell apart.
 */
import type { Redaction, Rule } from "../../model/schema/policy.ts";
import { parsePath, type Segment, type Selector } from "../redact/path.ts";

/** Redactions that leave nothing of a value, or what the operator has said to keep. */
const HIDES: ReadonlySet<string> = new Set(["remove", "mask", "replace", "pseudonym", "encrypt"]);

/** More states than this are not followed: the field counts as not covered. */
const MOST_STATES = 10_000;

/** One class of steps: a name, any other name, or the indexes that no path tells apart from this one. */
type Step =
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "other" }
  | { readonly type: "index"; readonly index: number };

/** What a rule does to payloads, as far as fields are concerned. */
export interface Treatment {
  readonly redact: readonly Redaction[];
  /** Whether its paths begin at the data of a CloudEvent, whatever form it comes in; `false`: at the payload as it is. */
  readonly meansData: boolean;
  /** Whether events may leave in another form than they came in, so that the payload is another one. */
  readonly changesForm: boolean;
}

/** What a rule does to payloads. */
export function treatmentOf({ redact = [], envelope }: Pick<Rule, "redact" | "envelope">): Treatment {
  if (envelope === undefined) return { redact, meansData: false, changesForm: false };
  const meansData = typeof envelope === "string" || (envelope.in ?? "auto") === "auto";
  return { redact, meansData, changesForm: true };
}

/**
 * Whether each value that `field` selects is hidden in one of the rules that events pass, in their order. The path of a field
 * begins where those of the first rule do: at the payload, or with an envelope at the data.
 * A detector is no proof: it finds what looks like something.
 */
export function isRedacted(field: string, rules: readonly Treatment[]): boolean {
  let shifted = false;
  let formed = false;
  for (const { redact, meansData, changesForm } of rules) {
    if (!formed || meansData) {
      const paths = redact.map(hiddenPath).filter((path) => path !== null);
      // Once elements may be gone, an index is not the one that it was.
      if (covers(field, shifted ? paths.filter((path) => !namesIndex(path)) : paths)) return true;
    }
    shifted ||= redact.some(removesElements);
    formed ||= changesForm;
  }
  return false;
}

/** Whether the paths together select each value that `field` selects, or something that holds it. */
export function covers(field: string, paths: readonly (readonly Segment[])[]): boolean {
  const wanted = parsePath(field);
  if (wanted.type === "invalid") return false;
  const seen = new Set<string>();
  const open = [{ at: 0, positions: unique(paths.map((_, path) => [path, 0] as const)) }];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const { at, positions } = state;
    if (positions.some(([path, matched]) => matched === paths[path]?.length)) continue;
    const segment = wanted.segments[at];
    if (segment === undefined) return false;
    const key = `${at}:${positions.join(";")}`;
    if (seen.has(key)) continue;
    if (seen.add(key).size > MOST_STATES) return false;
    const here = positions.flatMap(([path, matched]) => paths[path]?.[matched] ?? []);
    for (const step of stepsOf([segment, ...here])) {
      const next = unique(positions.flatMap((position) => advance(paths, position, step)));
      if (segment.descendant) open.push({ at, positions: next });
      if (segment.selectors.some((one) => selects(one, step))) open.push({ at: at + 1, positions: next });
    }
  }
  return true;
}

type Position = readonly [path: number, matched: number];

function advance(paths: readonly (readonly Segment[])[], [path, matched]: Position, step: Step): Position[] {
  const segment = paths[path]?.[matched];
  if (segment === undefined) return [];
  const next: Position[] = segment.descendant ? [[path, matched]] : [];
  if (segment.selectors.some((one) => selects(one, step))) next.push([path, matched + 1]);
  return next;
}

function unique(positions: readonly Position[]): Position[] {
  const sorted = positions.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
  return sorted.filter(([path, matched], i) => path !== sorted[i - 1]?.[0] || matched !== sorted[i - 1]?.[1]);
}

/** A step for each class that the segments tell apart. */
function stepsOf(segments: readonly Segment[]): Step[] {
  const names = new Set<string>();
  const starts = new Set([0]);
  for (const selector of segments.flatMap((segment) => segment.selectors)) {
    if (selector.type === "name") names.add(selector.name);
    if (selector.type === "range") starts.add(selector.from).add(selector.to);
  }
  return [
    { type: "other" },
    ...[...names].map((name): Step => ({ type: "name", name })),
    ...[...starts].map((index): Step => ({ type: "index", index })),
  ];
}

function selects(selector: Selector, step: Step): boolean {
  if (selector.type === "wildcard") return true;
  if (selector.type === "name") return step.type === "name" && step.name === selector.name;
  return step.type === "index" && selector.from <= step.index && step.index < selector.to;
}

/** The path of a redaction that hides what it selects; `null` for a detector, and for what only shortens. */
function hiddenPath(redaction: Redaction): readonly Segment[] | null {
  if (!HIDES.has(redaction.with) || detects(redaction) || redaction.path === undefined) return null;
  const parsed = parsePath(redaction.path);
  return parsed.type === "ok" ? parsed.segments : null;
}

function detects(redaction: Redaction): boolean {
  return "detect" in redaction && redaction.detect !== undefined;
}

function namesIndex(path: readonly Segment[]): boolean {
  return path.some(({ selectors }) => selectors.some((one) => one.type === "range"));
}

/** Whether a redaction may remove elements of arrays. */
function removesElements(redaction: Redaction): boolean {
  if (redaction.with !== "remove" || detects(redaction) || redaction.path === undefined) return false;
  const parsed = parsePath(redaction.path);
  const last = parsed.type === "ok" ? parsed.segments[parsed.segments.length - 1] : undefined;
  return last === undefined || last.selectors.some((one) => one.type !== "name");
}
