/** How long a member is looked at before it is given views: longer each time that it had to be given up. */

/** One that has just come. */
const NEW_MS = 1_000;
const FIRST_MS = 2_000;
const MOST_MS = 60_000;
/** After so long without one they are forgotten. */
const FORGET_MS = 300_000;

export class Setbacks {
  readonly #now: () => number;
  readonly #all = new Map<string, { readonly ms: number; readonly at: number }>();

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A member was given up. */
  add(member: string): void {
    const ms = Math.min(MOST_MS, (this.#last(member)?.ms ?? FIRST_MS / 2) * 2);
    this.#all.set(member, { ms, at: this.#now() });
  }

  /** Milliseconds for which a member that comes is only looked at. */
  newMs(member: string): number {
    return this.#last(member)?.ms ?? NEW_MS;
  }

  #last(member: string): { readonly ms: number } | null {
    const last = this.#all.get(member);
    if (last === undefined) return null;
    if (this.#now() - last.at < FORGET_MS) return last;
    this.#all.delete(member);
    return null;
  }
}
