/** The automaton of all paths as the scanner reads it from its memory; `wasm/state.ts` has the same offsets. */
import type { PathState } from "./automaton.ts";

const STATE_BYTES = 36;
const NAME_BYTES = 12;
const RANGE_BYTES = 8;
const DEAD = 1;
const REMOVED = 2;
const REMOVES = 4;

/** An automaton in memory. */
export interface Tables {
  /** Address of the state of the whole text. */
  readonly root: number;
  /** Address of room for a name of `longestName` bytes. */
  readonly scratch: number;
  readonly longestName: number;
}

/** Writes the states that `root` leads to into `memory`, where `reserve` finds room: given bytes, it returns an address. */
export function writeTables(
  root: PathState,
  memory: WebAssembly.Memory,
  reserve: (bytes: number) => number,
): Tables {
  const states = reachable(root);
  let names = 0;
  let ranges = 0;
  let bytes = 0;
  let longestName = 0;
  for (const state of states) {
    ranges += state.ranges.length;
    for (const { bytes: name } of namesOf(state)) {
      names++;
      bytes += name.length;
      longestName = Math.max(longestName, name.length);
    }
  }
  const first = reserve(
    states.length * STATE_BYTES + names * NAME_BYTES + ranges * RANGE_BYTES + bytes + longestName,
  );
  const place = new Map(states.map((state, index) => [state, first + index * STATE_BYTES]));
  const placeOf = (state: PathState) => place.get(state) as number;
  let nameAt = first + states.length * STATE_BYTES;
  let rangeAt = nameAt + names * NAME_BYTES;
  let bytesAt = rangeAt + ranges * RANGE_BYTES;

  const view = new DataView(memory.buffer);
  const put = (at: number, ...numbers: readonly number[]) => {
    for (const [index, number] of numbers.entries()) view.setInt32(at + index * 4, number, true);
  };
  for (const state of states) {
    const flags = (state.dead ? DEAD : 0) | (state.removed ? REMOVED : 0) | (state.removes ? REMOVES : 0);
    const steps = namesOf(state);
    put(placeOf(state), state.action, state.detect, flags, state.nameLengths, placeOf(state.otherName));
    put(placeOf(state) + 20, steps.length, nameAt, state.ranges.length, rangeAt);
    for (const { bytes: name, next } of steps) {
      put(nameAt, name.length, bytesAt, placeOf(next));
      new Uint8Array(memory.buffer).set(name, bytesAt);
      nameAt += NAME_BYTES;
      bytesAt += name.length;
    }
    for (const [index, range] of state.ranges.entries()) {
      put(rangeAt, state.starts[index] as number, placeOf(range));
      rangeAt += RANGE_BYTES;
    }
  }
  return { root: first, scratch: bytesAt, longestName };
}

const namesOf = (state: PathState) => state.names.flatMap((steps) => steps ?? []);

/** All states that `root` leads to, itself first. */
function reachable(root: PathState): PathState[] {
  const found = new Set([root]);
  // A set goes on with what is added while it is walked through.
  for (const state of found) {
    found.add(state.otherName);
    for (const range of state.ranges) found.add(range);
    for (const { next } of namesOf(state)) found.add(next);
  }
  return [...found];
}
