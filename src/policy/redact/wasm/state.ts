/**
 * The automaton of all paths as it lies in memory, written by `../tables.ts`. A state has its numbers at the offsets below, four
 * bytes each; places are addresses. AssemblyScript, see `../scan.ts`.
 */

const ACTION: usize = 0;
const DETECT: usize = 4;
const FLAGS: usize = 8;
/** Bit n: a path names members whose names have n bytes; bit 31: longer ones. */
const NAME_LENGTHS: usize = 12;
const OTHER_NAME: usize = 16;
/** How many named members, and where their entries are: length, place of the bytes, next state. */
const NAME_COUNT: usize = 20;
const NAMES: usize = 24;
const NAME_SIZE: usize = 12;
/** How many ranges of elements, and where their entries are: first index, next state. */
const RANGE_COUNT: usize = 28;
const RANGES: usize = 32;
const RANGE_SIZE: usize = 8;

const DEAD: i32 = 1;
const REMOVED: i32 = 2;
const REMOVES: i32 = 4;

export function actionOf(state: usize): i32 {
  return load<i32>(state, ACTION);
}

export function detectOf(state: usize): i32 {
  return load<i32>(state, DETECT);
}

/** No path selects anything at or below. */
export function isDead(state: usize): bool {
  return (load<i32>(state, FLAGS) & DEAD) !== 0;
}

/** The value is removed, with its name. */
export function isRemoved(state: usize): bool {
  return (load<i32>(state, FLAGS) & REMOVED) !== 0;
}

/** An element of this value may be removed. */
export function removesElements(state: usize): bool {
  return (load<i32>(state, FLAGS) & REMOVES) !== 0;
}

/** The state of the member of `state` whose unescaped name begins at `name` and has `length` bytes. */
export function nameStep(state: usize, name: usize, length: u32): usize {
  const other: usize = load<u32>(state, OTHER_NAME);
  if (((load<u32>(state, NAME_LENGTHS) >>> min(length, 31)) & 1) === 0) return other;
  let entry: usize = load<u32>(state, NAMES);
  const end = entry + <usize>load<u32>(state, NAME_COUNT) * NAME_SIZE;
  for (; entry < end; entry += NAME_SIZE) {
    if (load<u32>(entry) === length && isSame(load<u32>(entry, 4), name, length)) return load<u32>(entry, 8);
  }
  return other;
}

function isSame(one: usize, other: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) if (load<u8>(one + i) !== load<u8>(other + i)) return false;
  return true;
}

/** The state of the element of `state` at `index`. */
export function elementStep(state: usize, index: i32): usize {
  const first: usize = load<u32>(state, RANGES);
  let entry = first + <usize>(load<u32>(state, RANGE_COUNT) - 1) * RANGE_SIZE;
  while (load<i32>(entry) > index) entry -= RANGE_SIZE;
  return load<u32>(entry, 4);
}
