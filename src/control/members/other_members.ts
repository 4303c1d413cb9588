/** The other sidecars of the site, as one of them sees them. */
import { memberKey } from "../../model/names.ts";
import { type Heartbeat, MEMBER_TIMES, type ProcessMark } from "./heartbeat.ts";
import type { MemberTable } from "./member_table.ts";
import { Sightings } from "./sightings.ts";

/** How often it is looked who is new. */
const NAMES_MS = MEMBER_TIMES.tickMs * 4;

export interface OtherMembersOptions {
  readonly table: MemberTable;
  /** The one that looks. */
  readonly self: string;
  /** Whether a process has ended, as far as it can be seen from here. */
  readonly isGone: (mark: ProcessMark) => Promise<boolean>;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

export class OtherMembers {
  readonly #options: OtherMembersOptions;
  readonly #sightings: Sightings;
  readonly #all = new Map<string, Heartbeat>();
  readonly #dead = new Set<string>();
  readonly #gone = new Set<string>();
  #namesAt = Number.NEGATIVE_INFINITY;

  constructor(options: OtherMembersOptions) {
    this.#options = options;
    this.#sightings = new Sightings(options.now);
  }

  /** Their last heartbeats, also of those that are away. */
  get all(): readonly Heartbeat[] {
    return [...this.#all.values()];
  }

  isAlive(name: string): boolean {
    return !this.#dead.has(name);
  }

  /** Whether its process has ended, for certain. */
  isGone(name: string): boolean {
    return this.#gone.has(name);
  }

  /**
   * Looks at those that are known, and now and then who is new. @returns whether it looked who is new
   * @param anew it looks who is new
   */
  async look(anew = false): Promise<boolean> {
    const { table, self, now } = this.#options;
    if (!anew && now() - this.#namesAt < NAMES_MS && this.#all.size > 0) {
      await Promise.all([...this.#all.keys()].map((name) => this.#lookAt(name)));
      return false;
    }
    this.#namesAt = now();
    const names = new Set(await table.names());
    for (const name of this.#all.keys()) if (!names.has(name)) this.drop(name);
    for (const name of names) if (name !== self) await this.#lookAt(name);
    return true;
  }

  /** Forgets one. */
  drop(name: string): void {
    this.#all.delete(name);
    this.#dead.delete(name);
    this.#gone.delete(name);
    this.#sightings.forget(memberKey.member(name));
  }

  async #lookAt(name: string): Promise<void> {
    const { table, isGone } = this.#options;
    const there = await table.heartbeat(name);
    if (there === null) {
      this.drop(name);
      return;
    }
    const { value, revision } = there;
    const key = memberKey.member(name);
    if (this.#all.get(name)?.instance !== value.instance) this.#sightings.forget(key);
    this.#sightings.see(key, revision);
    this.#all.set(name, value);
    const still = (this.#sightings.stillMs(key) ?? 0) >= MEMBER_TIMES.takeMs;
    const gone = await isGone(value.process);
    if (gone) this.#gone.add(name);
    else this.#gone.delete(name);
    if (still || gone) this.#dead.add(name);
    else this.#dead.delete(name);
  }
}
