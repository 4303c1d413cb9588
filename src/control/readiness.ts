/** Whether a site does its work, and if not, why: its server, its state, its views, and what its peers must say first. */

/** What is looked at. */
export interface ReadinessFacts {
  /** Why the server is not healthy; `null`: it is. */
  readonly server: string | null;
  readonly applied: boolean;
  /** Steps that failed; those that wait for a peer are no failures. */
  readonly failures: readonly string[];
  /** State of each view that runs here. */
  readonly views: ReadonlyMap<string, string>;
  /** Whether nothing is left to do, also nothing that waits for a peer. */
  readonly converged: boolean;
  /** Peers with a link that stands and no proof yet of the key behind it. Asked for only while it matters. */
  readonly unproved: () => Promise<readonly string[]>;
}

/** How long peers that are there and say nothing hold readiness up: they may be down for days, and this site works. */
const PEERS_WITHIN_MS = 5000;

export class Readiness {
  readonly #clock: () => number;
  readonly #ran = new Set<string>();
  #since: number | null = null;
  #proved = false;

  /** @param clock milliseconds that have gone by */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Why the site is not ready; empty: it is. */
  async reasons(facts: ReadinessFacts): Promise<readonly string[]> {
    const reasons = [
      ...(facts.server === null ? [] : [`nats-server: ${facts.server}`]),
      ...(facts.applied ? [] : ["the state has not been applied yet"]),
      ...facts.failures,
      ...this.#starting(facts.views),
    ];
    this.#since ??= this.#clock();
    if (reasons.length > 0 || this.#proved) return reasons;
    if (this.#clock() - this.#since < PEERS_WITHIN_MS) {
      const unproved = await facts.unproved();
      if (unproved.length > 0) return unproved.map((peer) => `${peer} has not proved its key yet`);
      if (!facts.converged) return ["routes wait for what their peers say"];
    }
    // From now on a peer that comes or goes does not change what this site does.
    this.#proved = true;
    return [];
  }

  /** A view that has run is an alarm when it stands still, and no reason to take the site for one that starts. */
  #starting(views: ReadonlyMap<string, string>): readonly string[] {
    const reasons: string[] = [];
    for (const [view, state] of views) {
      if (state !== "starting") this.#ran.add(view);
      else if (!this.#ran.has(view)) reasons.push(`view ${view} is starting`);
    }
    return reasons;
  }
}
