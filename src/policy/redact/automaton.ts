/**
 * All paths of a rule as one deterministic automaton over the steps from the root to a value: a single pass over the
 * payload serves every path, and a subtree that no path can reach is seen at once (`dead`).
 */
import type { Segment, Selector } from "./path.ts";

/** A member name that a state waits for, as UTF-8 of its unescaped text. */
export interface NamedStep {
  readonly bytes: Uint8Array;
  readonly next: PathState;
}

/** Where a value stands with regard to all paths. */
export interface PathState {
  /** Index of the redaction that applies to the value itself, -1 for none. Such a state has no steps. */
  readonly action: number;
  /** That redaction removes the value, with its name. */
  readonly removed: boolean;
  /** Index of the set of redactions whose detectors look at texts of the value and below it, -1 for none. */
  readonly detect: number;
  /** No path selects anything at or below. */
  readonly dead: boolean;
  /** Nothing is selected at or below members that no path names. */
  readonly sparse: boolean;
  /** An element of this value may be removed. */
  readonly removes: boolean;
  /** Named members, by the length of their name in bytes. */
  readonly names: readonly (readonly NamedStep[] | undefined)[];
  /** Which lengths of names there are at all: bit `n` for length n, bit 31 for longer ones. */
  readonly nameLengths: number;
  /** Members of any other name. */
  readonly otherName: PathState;
  /** Elements: `ranges[i]` is for indexes from `starts[i]` on, up to the next start; `starts[0]` is 0. */
  readonly starts: readonly number[];
  readonly ranges: readonly PathState[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type Automaton =
  | {
      readonly type: "ok";
      readonly root: PathState;
      /** Sets of redactions, by their indexes: what `PathState.detect` is an index in. */
      readonly detects: readonly (readonly number[])[];
    }
  | { readonly type: "invalid"; readonly problem: string };

/** One path with what its redaction means for the automaton. */
export interface PathTarget {
  readonly segments: readonly Segment[];
  /** Of several redactions of one value, the highest strength is taken, and of equals the first. */
  readonly strength: number;
  /** The value is removed, with its name and comma. */
  readonly removes: boolean;
  /** Of the selected values and all below them, texts are looked through; nothing is done to the values themselves. */
  readonly detects: boolean;
}

const MAX_STATES = 2048;

/** How far the paths are matched: `[path, segments matched]`, in the order of the paths. */
type Positions = readonly (readonly [path: number, matched: number])[];

/**
 * Builds the automaton of all paths by subset construction. What is inside a selected value is not looked at any more:
 * the redaction of the outermost selected value is the one that counts.
 */
export function buildAutomaton(targets: readonly PathTarget[]): Automaton {
  const states = new Map<string, Mutable<PathState>>();
  const pending: { positions: Positions; state: Mutable<PathState> }[] = [];
  const detects: (readonly number[])[] = [];
  const detectIndex = new Map<string, number>();

  const detectOf = (positions: Positions): number => {
    const set = positions.flatMap(([path, matched]) => (isDetecting(targets[path], matched) ? [path] : []));
    if (set.length === 0) return -1;
    const key = set.join(" ");
    const known = detectIndex.get(key);
    if (known !== undefined) return known;
    detectIndex.set(key, detects.length);
    return detects.push(set) - 1;
  };

  const stateOf = (positions: Positions): PathState => {
    const key = positions.map(([path, matched]) => `${path}.${matched}`).join(" ");
    const known = states.get(key);
    if (known !== undefined) return known;
    const action = selectedAction(targets, positions);
    const state: Mutable<PathState> = emptyState(action, positions.length === 0);
    state.removed = targets[action]?.removes === true;
    state.detect = detectOf(positions);
    states.set(key, state);
    if (!state.dead && state.action < 0) pending.push({ positions, state });
    return state;
  };

  const root = stateOf(targets.map((_, path) => [path, 0] as const));
  for (let work = pending.pop(); work !== undefined; work = pending.pop()) {
    if (states.size > MAX_STATES) {
      return {
        type: "invalid",
        problem: `the paths together need more than ${MAX_STATES} states: use fewer '..'`,
      };
    }
    connect(targets, work.positions, work.state, stateOf);
  }
  return { type: "ok", root, detects };
}

function emptyState(action: number, dead: boolean): PathState {
  const state: Mutable<PathState> = {
    action,
    removed: false,
    detect: -1,
    dead,
    sparse: dead,
    removes: false,
    names: [],
    nameLengths: 0,
    otherName: undefined as unknown as PathState,
    starts: [0],
    ranges: [],
  };
  state.otherName = state;
  state.ranges = [state];
  return state;
}

function selectedAction(targets: readonly PathTarget[], positions: Positions): number {
  let chosen = -1;
  for (const [path, matched] of positions) {
    const target = targets[path];
    if (target === undefined || target.detects || matched < target.segments.length) continue;
    if (chosen < 0 || target.strength > (targets[chosen]?.strength ?? 0)) chosen = path;
  }
  return chosen;
}

/** Whether the detectors of a target look at texts from here on. */
function isDetecting(target: PathTarget | undefined, matched: number): boolean {
  return target?.detects === true && matched === target.segments.length;
}

/** Fills in the steps that lead out of `state`. */
function connect(
  targets: readonly PathTarget[],
  positions: Positions,
  state: Mutable<PathState>,
  stateOf: (positions: Positions) => PathState,
): void {
  const step = (selects: (selector: Selector) => boolean): PathState => {
    const next: (readonly [number, number])[] = [];
    for (const [path, matched] of positions) {
      if (isDetecting(targets[path], matched)) next.push([path, matched]);
      const segment = targets[path]?.segments[matched];
      if (segment === undefined) continue;
      if (segment.descendant) next.push([path, matched]);
      if (segment.selectors.some(selects)) next.push([path, matched + 1]);
    }
    return stateOf(unique(next));
  };
  const selectors = positions.flatMap(([path, matched]) => targets[path]?.segments[matched]?.selectors ?? []);

  const names: NamedStep[][] = [];
  const encoder = new TextEncoder();
  for (const name of new Set(selectors.flatMap((one) => (one.type === "name" ? [one.name] : [])))) {
    const bytes = encoder.encode(name);
    const next = step((one) => one.type === "wildcard" || (one.type === "name" && one.name === name));
    const sameLength = names[bytes.length] ?? [];
    sameLength.push({ bytes, next });
    names[bytes.length] = sameLength;
    state.nameLengths |= 1 << Math.min(bytes.length, 31);
  }
  // Dense: a hole in an array is a slow look-up.
  state.names = Array.from(names, (steps) => steps);
  state.otherName = step((one) => one.type === "wildcard");
  state.sparse = state.otherName.dead;

  const bounds = selectors.flatMap((one) => (one.type === "range" ? [one.from, one.to] : []));
  state.starts = [...new Set([0, ...bounds])].sort((a, b) => a - b);
  state.ranges = state.starts.map((start) =>
    step((one) => one.type === "wildcard" || (one.type === "range" && one.from <= start && start < one.to)),
  );
  const children = [state.otherName, ...state.ranges, ...names.flat().map((named) => named?.next)];
  state.removes = children.some((child) => child?.removed === true);
}

function unique(positions: Positions): Positions {
  const seen = new Set<string>();
  return positions
    .filter(([path, matched]) => {
      const key = `${path}.${matched}`;
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    })
    .toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/** The state of the member of `state` whose unescaped name is `bytes[from, to)`. */
export function nameStep(state: PathState, bytes: Uint8Array, from: number, to: number): PathState {
  const length = to - from;
  if (((state.nameLengths >>> Math.min(length, 31)) & 1) === 0) return state.otherName;
  if (length >= state.names.length) return state.otherName;
  const steps = state.names[length];
  if (steps === undefined) return state.otherName;
  next: for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as NamedStep;
    const name = step.bytes;
    for (let k = 0; k < length; k++) if (name[k] !== bytes[from + k]) continue next;
    return step.next;
  }
  return state.otherName;
}

/** The state of the element of `state` at `index`. */
export function elementStep(state: PathState, index: number): PathState {
  const starts = state.starts;
  let range = starts.length - 1;
  while ((starts[range] as number) > index) range--;
  return state.ranges[range] as PathState;
}

/** A state from which nothing is selected. */
export function deadState(): PathState {
  return emptyState(-1, true);
}
