/** Subjects of delivered events: few different ones come again and again, so each is decoded and checked once. */
import { isUtf8 } from "node:buffer";
import { originOf, tenantSubjectOf } from "../model/names.ts";
import { SubjectMatcher } from "../policy/match.ts";

/** A stored subject, and what follows from it. */
export interface KnownSubject {
  readonly bytes: Uint8Array;
  readonly stored: string;
  /** The tenant's subject. */
  readonly subject: string;
  readonly origin: string;
  /** Why an event of this subject cannot be stored in a view under the same one; `null` when it can. */
  readonly problem: string | null;
  /** Whether the source's filters pass it. */
  readonly wanted: boolean;
}

/** nats-server ends the connection of a client whose line of control is over 4096 bytes; this leaves room for the rest of it. */
const MAX_SUBJECT_BYTES = 3_840;
/** Places of the cache; a subject has one, and drives out the one that was there. */
const PLACES = 2_048;
/** Longer ones are not kept. */
const MAX_KEPT_BYTES = 256;
const TEXT = new TextDecoder();

/** Knows a subject; its bytes are kept as they are given. */
export function knownSubject(bytes: Uint8Array, filters: readonly SubjectMatcher[] = []): KnownSubject {
  const stored = TEXT.decode(bytes);
  return {
    bytes,
    stored,
    subject: tenantSubjectOf(stored),
    origin: originOf(stored),
    problem: subjectProblem(bytes, stored),
    wanted: filters.length === 0 || filters.some((filter) => filter.matches(stored)),
  };
}

function subjectProblem(bytes: Uint8Array, text: string): string | null {
  if (bytes.length > MAX_SUBJECT_BYTES) {
    return `Subject of ${bytes.length} bytes is longer than a view takes (${MAX_SUBJECT_BYTES})`;
  }
  // The decoder puts U+FFFD in place of what is no UTF-8.
  return text.includes("\ufffd") && !isUtf8(bytes) ? "Subject is not valid UTF-8" : null;
}

export class SubjectCache {
  readonly #filters: readonly SubjectMatcher[];
  readonly #places: (KnownSubject | undefined)[] = new Array<KnownSubject | undefined>(PLACES);

  /** @param filters patterns of stored subjects that are wanted; all when empty */
  constructor(filters: readonly string[] = []) {
    this.#filters = filters.map((pattern) => new SubjectMatcher(pattern));
  }

  /** The subject of the bytes `from` to `to` of a chunk. */
  get(chunk: Uint8Array, from: number, to: number): KnownSubject {
    let hash = 0x811c9dc5;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ (chunk[i] as number), 0x01000193);
    const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
    const known = this.#places[place];
    if (known !== undefined && isSame(known.bytes, chunk, from, to)) return known;
    const made = knownSubject(new Uint8Array(chunk.subarray(from, to)), this.#filters);
    if (made.bytes.length <= MAX_KEPT_BYTES) this.#places[place] = made;
    return made;
  }
}

function isSame(bytes: Uint8Array, chunk: Uint8Array, from: number, to: number): boolean {
  if (bytes.length !== to - from) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== chunk[from + i]) return false;
  return true;
}
