/**
 * One strict pass over a JSON text (RFC 8259): checks all of it, and asks for edits of the values that the automaton selects.
 * No recursion and no allocation; what is not selected is not looked at beyond its syntax. AssemblyScript, see `../scan.ts`.
 */
import {
  blankEnd,
  COMMA,
  closerAt,
  countMember,
  fail,
  faultPlace,
  lastFault,
  MAX_DEPTH,
  memberCount,
  memberValue,
  NOT_JSON,
  nameEnd,
  OBJECT,
  OBJECT_END,
  OK,
  open,
  skip,
  startSkip,
  TOO_DEEP,
} from "./skip";
import { actionOf, detectOf, elementStep, isDead, isRemoved, nameStep, removesElements } from "./state";
import { hasEscape, hasSpecial, startText, unescapeText } from "./text";

/** What the pass asks for, see `Editor` in `../scan.ts`. Places are counted from where the text begins. */
declare function value(action: i32, detect: i32, from: i32, to: i32): i32;
declare function text(set: i32, from: i32, to: i32): i32;
declare function name(set: i32, from: i32, to: i32, escaped: bool): i32;
declare function cut(from: i32, to: i32): void;

/** Of each open container that something may be selected in: its state and the index of its next element, */
const STATE: usize = 0;
const INDEX: usize = 4;
/** and where elements may be removed: whether one was kept so far, */
const KEPT: usize = 8;
/** where the last one ended, */
const ENDED: usize = 12;
/** and where a removed first one began (0: none), to be cut when it is known what follows. */
const PENDING: usize = 16;
const FRAME_SIZE: usize = 20;
const frames: usize = memory.data(2600); // (MAX_DEPTH + 2) * FRAME_SIZE

/** What a pass has found out: place of the fault, members of all objects, elements removed, whether strings may be beyond ASCII. */
const results: usize = memory.data(16);

/** Where the text begins, and where an unescaped name has room. */
let base: usize = 0;
let scratch: usize = 0;
let scratchBytes: i32 = 0;

/** The address of what a pass has found out, four numbers. */
export function resultsPlace(): usize {
  return results;
}

/** The first address that is free. */
export function freePlace(): usize {
  return __heap_base;
}

/** Sets where names are unescaped, with room for `bytes` bytes: the longest name of any path. */
export function useScratch(place: usize, bytes: i32): void {
  scratch = place;
  scratchBytes = bytes;
}

/** Passes over the text of `length` bytes at `from`, behind which there are a zero and 7 more bytes. Returns its fault, 0 for none. */
export function scan(from: usize, length: i32, root: usize): i32 {
  base = from;
  startText();
  startSkip();
  store<i32>(results, 0, 8);
  const fault = pass(from, from + length, root);
  if (fault !== OK) store<i32>(results, <i32>(faultPlace() - from));
  store<i32>(results, memberCount(), 4);
  store<i32>(results, hasSpecial() ? 1 : 0, 12);
  return fault;
}

/** Passes over the value at `from` of a text that begins at `textFrom`, inside of `depth` containers. Returns its end or -1. */
export function skipValue(textFrom: usize, from: i32, depth: i32): i32 {
  startText();
  startSkip();
  const end = skip(textFrom + from, depth);
  store<i32>(results, end === 0 ? <i32>(faultPlace() - textFrom) : 0);
  store<i32>(results, hasSpecial() ? 1 : 0, 12);
  return end === 0 ? -lastFault() : <i32>(end - textFrom);
}

function pass(from: usize, to: usize, root: usize): i32 {
  let at = from;
  let depth: i32 = 0;
  let parent = root;
  let frame = frames;
  let removes = false;
  let closer: i32 = 0;
  let state = root;

  while (true) {
    // A member, an element or the whole text begins.
    at = blankEnd(at);
    const start = at;
    let removed = false;
    if (closer === OBJECT_END) {
      countMember();
      at = nameEnd(start);
      if (at === 0) return lastFault();
      const escaped = hasEscape();
      state = memberState(parent, start + 1, at - 1, escaped);
      const detect = detectOf(parent);
      if (detect >= 0 && !isRemoved(state)) {
        const fault = name(detect, <i32>(start + 1 - base), <i32>(at - 1 - base), escaped);
        if (fault !== OK) return stop(start, fault);
      }
      at = memberValue(at);
      if (at === 0) return lastFault();
    } else if (depth > 0) {
      const index = load<i32>(frame, INDEX);
      store<i32>(frame, index + 1, INDEX);
      state = elementStep(parent, index);
    }
    if (removes) cutPending(frame, start);

    const byte: i32 = load<u8>(at);
    const action = actionOf(state);
    if (isDead(state)) {
      at = skip(at, depth);
      if (at === 0) return lastFault();
    } else if (action < 0 && (byte | 0x20) === OBJECT) {
      if (++depth > MAX_DEPTH) return stop(at, TOO_DEEP);
      closer = open(depth, byte);
      parent = state;
      frame += FRAME_SIZE;
      store<u32>(frame, <u32>parent, STATE);
      store<i32>(frame, 0, INDEX);
      store<i32>(frame, 0, KEPT);
      store<u32>(frame, 0, PENDING);
      removes = removesElements(parent);
      at = blankEnd(at + 1);
      if (load<u8>(at) !== closer) continue;
      at++;
      depth--;
      frame -= FRAME_SIZE;
      parent = load<u32>(frame, STATE);
      removes = depth > 0 && removesElements(parent);
      closer = closerAt(depth);
    } else {
      const valueFrom = at;
      at = skip(at, depth);
      if (at === 0) return lastFault();
      if (action >= 0) {
        removed = isRemoved(state);
        const fault = removed
          ? remove(frame, start, at)
          : value(action, detectOf(state), <i32>(valueFrom - base), <i32>(at - base));
        if (fault !== OK) return stop(valueFrom, fault);
      } else {
        const detect = detectOf(state);
        if (detect >= 0 && (byte | 0x20) !== OBJECT) {
          const fault = text(detect, <i32>(valueFrom - base), <i32>(at - base));
          if (fault !== OK) return stop(valueFrom, fault);
        }
      }
    }

    // A value has ended at `at`.
    while (true) {
      if (depth === 0) {
        at = blankEnd(at);
        return at === to ? OK : stop(at, NOT_JSON);
      }
      if (removes) {
        store<u32>(frame, <u32>at, ENDED);
        if (!removed) store<i32>(frame, 1, KEPT);
        removed = false;
      }
      at = blankEnd(at);
      const next: i32 = load<u8>(at);
      if (next === COMMA) {
        at++;
        break;
      }
      if (next !== closer) return stop(at, NOT_JSON);
      if (removes) cutPending(frame, endedAt(frame));
      at++;
      depth--;
      frame -= FRAME_SIZE;
      parent = load<u32>(frame, STATE);
      removes = depth > 0 && removesElements(parent);
      closer = closerAt(depth);
    }
  }
}

/** The state of the member of `parent` whose name stands in `[from, to)`, as it is written. */
function memberState(parent: usize, from: usize, to: usize, escaped: bool): usize {
  if (!escaped) return nameStep(parent, from, <u32>(to - from));
  // A name of which not all has room is longer than that of any path, and its bytes are not looked at.
  return nameStep(parent, scratch, <u32>unescapeText(from, to, scratch, scratchBytes));
}

/** An element `[start, end)` goes: with the comma before it, or when nothing before it stays, with what is up to the next. */
function remove(frame: usize, start: usize, end: usize): i32 {
  store<i32>(results, load<i32>(results, 8) + 1, 8);
  if (load<i32>(frame, KEPT) === 1) cut(<i32>(endedAt(frame) - base), <i32>(end - base));
  else store<u32>(frame, <u32>start, PENDING);
  return OK;
}

/** Where the last element ended. */
function endedAt(frame: usize): usize {
  return load<u32>(frame, ENDED);
}

/** Cuts a removed first element, now that it is known where the next one begins, or where the last one ended. */
function cutPending(frame: usize, to: usize): void {
  const from: usize = load<u32>(frame, PENDING);
  if (from === 0) return;
  store<u32>(frame, 0, PENDING);
  cut(<i32>(from - base), <i32>(to - base));
}

function stop(at: usize, fault: i32): i32 {
  fail(at, fault);
  return fault;
}
