/** When something was last seen to move, by the clock of the one who looks. */
export class Sightings {
  readonly #now: () => number;
  readonly #seen = new Map<string, { revision: number; movedAt: number; moves: number }>();

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Notes the revision that a key has now. */
  see(key: string, revision: number): void {
    const last = this.#seen.get(key);
    if (last === undefined) this.#seen.set(key, { revision, movedAt: this.#now(), moves: 0 });
    else if (last.revision !== revision) {
      Object.assign(last, { revision, movedAt: this.#now(), moves: last.moves + 1 });
    }
  }

  /** Milliseconds since a key moved, or was first seen; `null`: it was never seen. */
  stillMs(key: string): number | null {
    const seen = this.#seen.get(key);
    return seen === undefined ? null : this.#now() - seen.movedAt;
  }

  /** The time so far does not count: it could not be seen. */
  pardon(key: string): void {
    const seen = this.#seen.get(key);
    if (seen !== undefined) seen.movedAt = this.#now();
  }

  /** How often it was seen to move, since it was found. */
  moves(key: string): number {
    return this.#seen.get(key)?.moves ?? 0;
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}
