/**
 * Who listens no more, and whose server still says that somebody does. When nats-server reads a configuration in which other stream
 * imports stand, it counts each subscription that goes through one of them once more at every leaf link that is up, and takes
 * it back once only when it ends: whoever delivers over the link is told of a listener for as long as the link lasts. A source
 * that attaches has stopped listening before it asks for the RESET, so one that is refused because somebody listens is such a case, and
 * the link is made anew: its servers then count afresh.
 * Source: nats-server `server/client.go`, processSubsOnConfigReload and addShadowSub, and `server/leafnode.go`, updateSmap.
 */
const FIRST_MS = 60_000;
const MOST_MS = 3_600_000;

export interface GhostInterestOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Cuts the leaf connections of a peer, which is dialled again. */
  readonly relink: (peer: string) => Promise<unknown>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class GhostInterest {
  readonly #options: GhostInterestOptions;
  /** By peer: when its link was made anew. */
  readonly #relinked = new Map<string, number>();
  /** By stream and peer: when its link was made anew for this stream, and how long it is not again. */
  readonly #refused = new Map<string, { readonly at: number; readonly waitMs: number }>();

  constructor(options: GhostInterestOptions) {
    this.#options = options;
  }

  /**
   * A RESET of a peer was refused, as its consumer delivers to somebody. Its link is made anew, at most once a minute; where that has not
   * helped, for this stream after twice the time of before.
   */
  async refused(stream: string, peer: string): Promise<void> {
    const { now, relink, log } = this.#options;
    const key = `${stream} ${peer}`;
    const before = this.#refused.get(key);
    const at = now();
    if (at - (this.#relinked.get(peer) ?? Number.NEGATIVE_INFINITY) < FIRST_MS) return;
    if (before !== undefined && at - before.at < before.waitMs) return;
    const waitMs = before === undefined ? FIRST_MS : Math.min(2 * before.waitMs, MOST_MS);
    this.#relinked.set(peer, at);
    this.#refused.set(key, { at, waitMs });
    log(
      "warn",
      `${peer} listens to ${stream} no more, and its server still says that somebody does: its link is made anew`,
    );
    await relink(peer);
  }

  /** A RESET of a peer was passed on: where its link was made anew for this stream, that has helped. */
  passed(stream: string, peer: string): void {
    this.#refused.delete(`${stream} ${peer}`);
  }
}
