/**
 * The views that run in this process, for whoever leads the site. Where this sidecar does not lead, they may be written for as long as
 * the one that leads has granted, counted from when this one asked: so one that was stopped for a while finds its grant over before
 * it writes, and others have its views only when it is.
 */
import { MEMBER_TIMES } from "../../control/members/heartbeat.ts";
import type { MemberHandler, MemberRpc } from "../../control/members/member_rpc.ts";
import type { Members } from "../../control/members/members.ts";
import type { Redriven } from "../../flow/redrive_queue.ts";
import type { ViewPolicy, ViewTarget } from "../../flow/thread/messages.ts";
import { startingStats, sumTotals, type Totals } from "../../flow/thread/supervisor.ts";
import type { ViewWorkers } from "../../flow/view_runner.ts";
import type { ViewStats } from "../../flow/view_worker.ts";
import { LeafmeshError } from "../../model/errors.ts";
import type { PolicyKeys } from "../../model/keys.ts";
import { sleep } from "../../nats/wait.ts";
import { compilePolicy, policyVersion, usedKeys } from "../../policy/compile.ts";
import {
  Answer,
  ASK_VERB,
  type Documents,
  decode,
  encode,
  type Held,
  ORDER_VERB,
  Order,
  type OrderAnswers,
  type Placing,
  type Report,
} from "./messages.ts";

/** How often it asks while it runs views and is granted nothing. */
const WAITING_MS = 50;

export interface LocalViewsOptions {
  readonly members: Members;
  readonly rpc: MemberRpc;
  readonly workers: Pick<ViewWorkers, "set" | "stop" | "stats" | "redrive" | "abandon" | "warm">;
  /** Version of Leafmesh. */
  readonly software: string;
  /** The keys of a tenant as they stand in this data folder; none are made. */
  readonly keysOf: (tenant: string) => Promise<PolicyKeys>;
  readonly log: (level: "info" | "warn", message: string) => void;
}

interface HeldView {
  readonly placing: Placing;
  readonly target: ViewTarget;
  version: string;
}

export class LocalViews implements AsyncDisposable {
  readonly #options: LocalViewsOptions;
  readonly #held = new Map<string, HeldView>();
  readonly #stopping = new Map<string, Promise<ViewStats | null>>();
  /** What was told of each view last. */
  readonly #told = new Map<string, string>();
  /** The leadership that orders are taken of, and who leads in it. */
  #epoch = 0;
  #leader: string | null = null;
  /** Of the members' bucket, as it was looked at last. */
  #seenEpoch = -1;
  /** The leadership of this sidecar in which it may write what it runs. */
  #leadsIn: number | null = null;
  #grantedUntil = 0;
  #drops = 0;
  /** What those that run no more have counted. */
  #before: Totals = startingStats("", null, 0);
  #leaving = false;
  readonly #end = new AbortController();
  /** Ends the question that is being asked, and the pause after it. */
  #again = new AbortController();
  /** The leadership in which it was granted something last. */
  #grantedIn = -1;
  readonly #asking: Promise<void>;
  readonly #stops: readonly (() => void)[];

  constructor(options: LocalViewsOptions) {
    this.#options = options;
    const { rpc, members } = options;
    this.#stops = [rpc.handle(ORDER_VERB, this.#order), members.onChange(() => this.#look())];
    this.#asking = this.#askAgain();
  }

  /** Milliseconds for which what runs here may be written; 0: it must not be. */
  get mayWriteMs(): number {
    const { members } = this.#options;
    const leads = members.hasLease && this.#leadsIn === members.epoch;
    if (leads) return members.remainingMs;
    return Math.max(0, Math.min(this.#grantedUntil - performance.now(), members.remainingMs));
  }

  /** What runs here. */
  get held(): readonly Held[] {
    return [...this.#held.values()].map((one) => ({ ...one }));
  }

  /** What the views that run here have done. */
  stats(): ReadonlyMap<string, ViewStats> {
    return this.#options.workers.stats();
  }

  /** What all that ran here have counted. */
  get counted(): Totals {
    return [...this.stats().values()].reduce(sumTotals, this.#before);
  }

  /** From now on this sidecar writes what it runs as the one that leads. */
  lead(epoch: number): void {
    this.#leadsIn = epoch;
  }

  /** Starts a view, or has one that runs decide by another policy. @returns as `ViewWorkers.set` */
  async set(placing: Placing, target: ViewTarget, policy: ViewPolicy): Promise<number> {
    const there = this.#held.get(target.key);
    if (there === undefined) {
      const { workers, members } = this.#options;
      this.#held.set(target.key, { placing, target, version: policy.version });
      const begun = workers.set(target, policy);
      // The next one may come when another member has gone, and is not to wait for a thread.
      if (!members.isAlone) this.warm();
      return await begun;
    }
    const position = await this.#options.workers.set(target, policy);
    there.version = policy.version;
    return position;
  }

  /** Stops a view when what it has in hand is stored. @returns what it has done */
  stop(key: string): Promise<ViewStats | null> {
    const under = this.#stopping.get(key);
    if (under !== undefined) return under;
    const stopping = this.#stop(key).finally(() => this.#stopping.delete(key));
    this.#stopping.set(key, stopping);
    return stopping;
  }

  async #stop(key: string): Promise<ViewStats | null> {
    const there = this.#held.get(key);
    const stats = await this.#options.workers.stop(key);
    if (stats !== null) this.#before = sumTotals(this.#before, stats);
    if (this.#held.get(key) === there) this.#held.delete(key);
    this.#told.delete(key);
    return stats;
  }

  /** As `ViewWorkers.redrive`. */
  redrive(
    tenant: string,
    policy: string,
    sequences: readonly number[],
    dryRun: boolean,
  ): Promise<readonly (Redriven | null)[]> {
    return this.#options.workers.redrive(tenant, policy, sequences, dryRun);
  }

  /** Has a thread ready for the next view that comes. */
  warm(): void {
    if (!this.#leaving) this.#options.workers.warm();
  }

  /** Ends all at once: nothing more is written, as others have the views. */
  drop(): void {
    const { workers } = this.#options;
    this.#grantedUntil = 0;
    this.#leadsIn = null;
    this.#drops++;
    this.#before = this.counted;
    workers.abandon();
    this.#held.clear();
    this.#told.clear();
    this.warm();
  }

  /** Stops all views in order, and lets the one that leads know that others may have them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving = true;
    await Promise.all([...this.#held.keys()].map((key) => this.stop(key)));
    this.#end.abort();
    this.#again.abort();
    await this.#asking;
    this.#again = new AbortController();
    await this.#ask().catch(() => undefined);
    for (const stop of this.#stops) stop();
  }

  async #askAgain(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      this.#again = new AbortController();
      // Who leads has not yet come to answer, or another one does: what was granted runs out by itself.
      await this.#ask().catch(() => undefined);
      if (signal.aborted) return;
      const waits = this.#held.size > 0 && this.#grantedIn !== this.#epoch;
      await sleep(waits ? WAITING_MS : MEMBER_TIMES.tickMs, this.#again.signal);
    }
  }

  async #ask(): Promise<void> {
    const { members, rpc } = this.#options;
    this.#look();
    if (members.hasLease || this.#leader === null || this.#leader === members.name) return;
    const at = performance.now();
    const [epoch, leader] = [this.#epoch, this.#leader];
    const { report, told } = this.#report();
    const { signal } = this.#again;
    const { requestMs: timeoutMs } = MEMBER_TIMES;
    const answer = await rpc.ask(leader, ASK_VERB, encode(report), { timeoutMs, signal });
    const { type } = Answer.parse(decode(answer));
    this.#look();
    if (epoch !== this.#epoch || members.hasLease) return;
    if (type === "drop") {
      this.#options.log("info", `member ${leader} has given the views of this one to others`);
      this.drop();
      return;
    }
    for (const [key, text] of told) this.#told.set(key, text);
    this.#grantedUntil = at + MEMBER_TIMES.holdMs;
    this.#grantedIn = epoch;
  }

  /** Looks who leads, by the members' bucket: it counts whenever it has changed. */
  #look(): void {
    const { epoch, leader } = this.#options.members;
    if (leader === null || epoch === this.#seenEpoch) return;
    this.#seenEpoch = epoch;
    if (epoch !== this.#epoch || leader !== this.#leader) this.#enter(epoch, leader);
  }

  #enter(epoch: number, leader: string): void {
    this.#epoch = epoch;
    this.#leader = leader;
    this.#told.clear();
    this.#again.abort();
  }

  #report(): { readonly report: Report; readonly told: ReadonlyMap<string, string> } {
    const stats: Record<string, ViewStats> = {};
    const told = new Map<string, string>();
    for (const [key, one] of this.stats()) {
      const text = JSON.stringify(one);
      if (text === this.#told.get(key)) continue;
      stats[key] = one;
      told.set(key, text);
    }
    const { members, software } = this.#options;
    const { instance } = members;
    const report = {
      epoch: this.#epoch,
      instance,
      software,
      leaving: this.#leaving,
      held: [...this.held],
      drops: this.#drops,
      stats,
    };
    return { report, told };
  }

  readonly #order: MemberHandler = async ({ from, body }) => {
    const order = Order.parse(decode(body));
    this.#require(order.epoch, from);
    return encode(await this.#answer(order));
  };

  /** @throws LeafmeshError `no_leader` when the order is of a leadership that is over */
  #require(epoch: number, from: string | null): void {
    this.#look();
    const { members } = this.#options;
    if (members.hasLease || epoch < this.#epoch) {
      throw new LeafmeshError(
        "no_leader",
        `Member ${members.name} takes no orders of epoch ${epoch} any more`,
      );
    }
    if (epoch === this.#epoch || from === null) return;
    // It is told before it has looked by itself.
    this.#enter(epoch, from);
  }

  async #answer(order: Order): Promise<OrderAnswers[Order["type"]]> {
    switch (order.type) {
      case "enter":
        return this.#report().report;
      case "prepare":
        await this.#compiled(order);
        return null;
      case "set": {
        const drops = this.#drops;
        const policy = await this.#compiled(order);
        // Another leadership may have begun meanwhile, or this one have given the view to another member.
        this.#require(order.epoch, null);
        if (drops !== this.#drops)
          throw new LeafmeshError("conflict", "the order is of before all was dropped");
        return { position: await this.set(order.placing, order.target, policy) };
      }
      case "stop":
        return { stats: await this.stop(order.key) };
      case "redrive":
        return await this.redrive(order.tenant, order.policy, order.sequences, order.dryRun);
      default: {
        const never: never = order;
        throw new Error(`Unhandled order ${String(never)}`);
      }
    }
  }

  /** @throws LeafmeshError `conflict` when this one ends, or has not what the policy needs */
  async #compiled({ target: { tenant }, version, policy, schemas }: Documents): Promise<ViewPolicy> {
    const { members } = this.#options;
    const keys = usedKeys(policy).length === 0 ? {} : await this.#options.keysOf(tenant);
    if (policyVersion(policy, keys, schemas) !== version) {
      throw new LeafmeshError("conflict", `Member ${members.name} has other keys of tenant ${tenant}`);
    }
    const compile = { tenant, policy, keys, schemas };
    // Here one that does not compile is refused; the view's thread compiles it again for itself.
    compilePolicy(compile);
    if (this.#leaving) throw new LeafmeshError("conflict", `Member ${members.name} is being stopped`);
    return { compile, version };
  }
}
