/** Denials on their way into the audit trail: a few are told one by one, a flood as counts, and what is too much even for that is counted. */
import type { Actor, AuditEntry } from "../../model/audit.ts";

/** Something that was refused to somebody. */
export interface Denial {
  readonly who: Actor | null;
  readonly from: string | null;
  readonly operation: string;
  readonly target: string;
  readonly result: string;
}

export interface DenialsOptions {
  readonly append: (entry: AuditEntry) => Promise<unknown>;
  /** Told one by one in each window; default 20. */
  readonly single?: number;
  /** Kinds of further denials that are told apart in each window; default 32. */
  readonly kinds?: number;
  readonly windowMs?: number;
}

const SINGLE = 20;
const KINDS = 32;
const WINDOW_MS = 10_000;
/** A window is at most this many times as long, while there are more denials than are told one by one. */
const LONGEST = 60;
const MOST_WAITING = 64;

export class Denials implements AsyncDisposable {
  readonly #options: DenialsOptions;
  readonly #single: number;
  readonly #kinds: number;
  #told = 0;
  /** How many times as long as usual this window is. */
  #longer = 1;
  #counted = new Map<string, { denial: Denial; count: number }>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #waiting = new Set<Promise<unknown>>();
  #dropped = 0;
  #total = 0;

  constructor(options: DenialsOptions) {
    this.#options = options;
    this.#single = options.single ?? SINGLE;
    this.#kinds = options.kinds ?? KINDS;
  }

  /** Denials that are in the trail neither by themselves nor in a count. */
  get dropped(): number {
    return this.#dropped;
  }

  /** All denials. */
  get total(): number {
    return this.#total;
  }

  /** Takes note of a denial; never waits, never throws. */
  note(denial: Denial): void {
    this.#total++;
    this.#timer ??= setTimeout(() => this.flush(), (this.#options.windowMs ?? WINDOW_MS) * this.#longer);
    if (this.#told < this.#single) {
      this.#told++;
      this.#append({ type: "denial", ...denial, count: 1 }, 1);
      return;
    }
    const { who, from, operation, result } = denial;
    const key = JSON.stringify([who, from, operation, result]);
    const there = this.#counted.get(key);
    if (there !== undefined) there.count++;
    else if (this.#counted.size < this.#kinds) this.#counted.set(key, { denial, count: 1 });
    else this.#others();
  }

  /** Tells what has been counted, and begins a new window. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // The trail keeps so much and no more: who goes on being refused must not push out what others did.
    const much = this.#counted.size > 0 || this.#told * 4 > this.#single;
    this.#longer = much ? Math.min(LONGEST, this.#longer * 2) : 1;
    this.#told = 0;
    const counted = this.#counted;
    this.#counted = new Map();
    for (const { denial, count } of counted.values()) {
      this.#append({ type: "denial", ...denial, target: count === 1 ? denial.target : "*", count }, count);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.flush();
    await Promise.all(this.#waiting);
  }

  /** Of more kinds than are told apart only the number is told. */
  #others(): void {
    const there = this.#counted.get("others");
    const denial = { who: null, from: null, operation: "*", target: "*", result: "of many kinds" };
    if (there === undefined) this.#counted.set("others", { denial, count: 1 });
    else there.count++;
  }

  #append(entry: AuditEntry, count: number): void {
    if (this.#waiting.size >= MOST_WAITING) {
      this.#dropped += count;
      return;
    }
    const written: Promise<unknown> = this.#options
      .append(entry)
      .catch(() => {
        this.#dropped += count;
      })
      .finally(() => this.#waiting.delete(written));
    this.#waiting.add(written);
  }
}
