/**
 * Who listens no more, and whose server still says that somebody does. When nats-server reads a configuration in which other stream
 * imports stand, it counts each subscription that goes through one of them once more at every leaf link that is up, and takes
 * it back once only when it ends: whoever delivers over the link is told of a listener for as long as the link lasts. A source
 * that attaches has stopped listening before it asks for the RESET, so one that is refused because somebody listens is such a case, and
 * the link is made anew: its servers then count afresh.
 * Source: nats-server `server/client.go`, processSubsOnConfigReload and addShadowSub, and `server/leafnode.go`, updateSmap.
 *
 * And a link that closes while its server reads what is listened to over it leaves that in the account that is imported from, for as long
 * as the server runs. So it is looked whether somebody listens while there is no link at all: nothing but a restart ends that.
 * Source: nats-server 2.15.1 `server/leafnode.go`, processLeafSub: what addShadowSubscriptions adds, closeConnection has not seen.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { errorText } from "../model/errors.ts";
import { parseStreamName } from "../model/names.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import type { SystemApi } from "../nats/system_api.ts";
import { sleep } from "../nats/wait.ts";
import type { LeftBehind } from "./left_listeners.ts";

const FIRST_MS = 60_000;
const MOST_MS = 3_600_000;
/** A link that was cut comes back after a second; what its end takes back is taken back at once. */
const LOOKS = 5;
const LOOK_AGAIN_MS = 60;

export interface PeerConsumer {
  /** Whether the server says that somebody listens. */
  readonly bound: boolean;
  /** Whether it has a rate limit: then it waits before each event, and hears of nobody who comes or goes meanwhile. */
  readonly paced: boolean;
}

export interface GhostInterestOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Cuts the leaf connections of a peer, which is dialled again. */
  readonly relink: (peer: string) => Promise<unknown>;
  /** Whether there is any link with a peer, at any server of the site. */
  readonly linked: (peer: string) => Promise<boolean>;
  /** What a stream delivers to a peer with; `null`: nothing. */
  readonly consumer: (stream: string, peer: string) => Promise<PeerConsumer | null>;
  /** The server that says so: another id after it has started anew. `alone`: the site has no other one. */
  readonly server: () => { readonly id: string; readonly name: string; readonly alone: boolean };
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class GhostInterest {
  readonly #options: GhostInterestOptions;
  /** By peer: when its link was made anew. */
  readonly #relinked = new Map<string, number>();
  /** By stream and peer: when its link was made anew for this stream, and how long it is not again. */
  readonly #refused = new Map<string, { readonly at: number; readonly waitMs: number }>();

  /** By stream and peer: where somebody listened without a link, and at which server. */
  readonly #left = new Map<string, LeftBehind & { readonly id: string; readonly stream: string }>();

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
    try {
      await relink(peer);
    } catch (error) {
      // The next time is no later for it.
      if (before === undefined) this.#refused.delete(key);
      else this.#refused.set(key, before);
      log("warn", `The link of ${peer}, which listens to ${stream} no more, is not cut: ${errorText(error)}`);
      return;
    }
    log(
      "warn",
      `${peer} listens to ${stream} no more, and its server still says that somebody does: its link is made anew`,
    );
    if (await this.#isLeft(stream, peer)) this.#found(stream, peer);
  }

  /** Where somebody listens to what goes to a peer, and nobody is there. What it was about may be over by itself. */
  async left(): Promise<readonly LeftBehind[]> {
    const { id } = this.#options.server();
    for (const [key, one] of [...this.#left]) {
      const restarted = one.at !== null && one.id !== id;
      // Where a server does not answer it stays.
      if (restarted || !(await this.#isBound(one.stream, one.peer).catch(() => true))) this.#left.delete(key);
    }
    return [...this.#left.values()];
  }

  /** Whether somebody listens while the link that was cut is not back. */
  async #isLeft(stream: string, peer: string): Promise<boolean> {
    for (let looks = 0; looks < LOOKS; looks++) {
      await sleep(LOOK_AGAIN_MS);
      if (!(await this.#isBound(stream, peer)) || (await this.#options.linked(peer))) return false;
    }
    return true;
  }

  /** Whether the server says that somebody listens, and would know if nobody did. */
  async #isBound(stream: string, peer: string): Promise<boolean> {
    const consumer = await this.#options.consumer(stream, peer);
    return consumer?.bound === true && !consumer.paced;
  }

  #found(stream: string, peer: string): void {
    const { id, name, alone } = this.#options.server();
    const subject = `${stream} to ${peer}`;
    const tenant = parseStreamName(stream)?.tenant;
    const why = `somebody listens to ${subject} while there is no link with ${peer}`;
    this.#left.set(`${stream} ${peer}`, {
      id,
      stream,
      subject,
      target: subject,
      tenant,
      peer,
      why,
      at: alone ? name : null,
    });
  }

  /** A RESET of a peer was passed on: where its link was made anew for this stream, that has helped. */
  passed(stream: string, peer: string): void {
    this.#left.delete(`${stream} ${peer}`);
    this.#refused.delete(`${stream} ${peer}`);
  }
}

/** Of a site's streams. @param clustered whether the site has several servers */
export function ghostsOf({
  system,
  mesh,
  clustered,
  log,
}: Pick<GhostInterestOptions, "log"> & {
  readonly system: Pick<SystemApi, "kickLeaf" | "isLinked" | "serverId" | "serverName">;
  readonly mesh: JetStreamManager;
  readonly clustered: boolean;
}): GhostInterest {
  return new GhostInterest({
    now: () => performance.now(),
    relink: (peer) => system.kickLeaf(peer),
    linked: (peer) => system.isLinked(peer),
    consumer: async (stream, peer) => {
      const info = await unlessGone(mesh.consumers.info(stream, peer), null);
      if (info === null) return null;
      return { bound: info.push_bound === true, paced: (info.config.rate_limit_bps ?? 0) > 0 };
    },
    server: () => ({ id: system.serverId, name: system.serverName, alone: !clustered }),
    log,
  });
}
