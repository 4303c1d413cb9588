/**
 * The views of a site, spread over its members by the one that leads: each view has one worker, and all views of a tenant are at one
 * member, so that its order, its limits and its dead letters are those of one process. What a member does not do any more, for
 * certain, another one does.
 */
import type { MemberRpc } from "../../control/members/member_rpc.ts";
import type { Members } from "../../control/members/members.ts";
import { NamedTurns } from "../../control/turns.ts";
import type { Redriven } from "../../flow/redrive_queue.ts";
import type { ViewPolicy, ViewTarget } from "../../flow/thread/messages.ts";
import type { Totals } from "../../flow/thread/supervisor.ts";
import type { ViewStats } from "../../flow/view_worker.ts";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import type { SiteViews, WantedView } from "../adapters.ts";
import { adopt, type Running } from "./adoption.ts";
import { Balance } from "./balance.ts";
import { type Follower, NotKnown } from "./follower.ts";
import { Followers } from "./followers.ts";
import type { LocalViews } from "./local_views.ts";
import { documentsOf, type Held } from "./messages.ts";
import { counted, nothing, type Placed, PlacedViews, tenantOf } from "./placed.ts";
import { type Choice, choosePlace } from "./placement.ts";

export interface SpreadViewsOptions {
  readonly members: Members;
  readonly rpc: MemberRpc;
  readonly local: LocalViews;
  /** Version of Leafmesh: members of another one are given no views. */
  readonly software: string;
  /** A view runs no more, and cannot be started here: the plan does that. */
  readonly changed: () => void;
  readonly log: (level: "info" | "warn", message: string) => void;
}

export class SpreadViews implements SiteViews, Disposable {
  readonly #options: SpreadViewsOptions;
  readonly #placed = new PlacedViews();
  readonly #followers: Followers;
  /** By tenant: all that is done with the views of one. */
  readonly #turns = new NamedTurns();
  /** The leadership of this sidecar; `null`: it does not lead. */
  #epoch: number | null = null;
  #number = 0;
  /** It ends: others are preferred. */
  #ending = false;
  readonly #balance: Balance;
  readonly #stopListening: () => void;

  constructor(options: SpreadViewsOptions) {
    this.#options = options;
    const { members, rpc, log } = options;
    this.#followers = new Followers({
      members,
      rpc,
      runsAt: (follower, key) => {
        const there = this.#placed.get(key);
        return there?.at === follower && there.started;
      },
      onMissing: (follower, key) => {
        log("warn", `member ${follower.name} does not run view ${key} any more: it is placed again`);
        const there = this.#placed.get(key);
        if (there?.at === follower) void this.#placeAgain(key, there);
      },
      onOut: (follower) => {
        for (const [key, there] of this.#placed) if (there.at === follower) void this.#placeAgain(key, there);
      },
      onLook: () => {
        // What a follower runs may have to be run here at any moment, and is not to wait for a thread.
        this.#options.local.warm();
        if (this.#epoch !== null && !this.#ending) this.#balance.look();
      },
      log,
    });
    this.#balance = new Balance({
      choice: () => this.#choice(),
      move: (tenant, to) => this.#move(this.#leads(), tenant, to),
      log: (message) => log("warn", message),
    });
    this.#stopListening = members.onChange(() => {
      if (!members.hasLease) this.#lose();
      else this.#followers.look();
    });
  }

  running(): ReadonlyMap<string, string> {
    return this.#placed.running();
  }

  stats(): ReadonlyMap<string, ViewStats> {
    return this.#placed.stats(this.#options.local.stats());
  }

  memberOf(key: string): string | null {
    const there = this.#placed.get(key);
    return there === undefined ? null : this.#nameOf(there.at);
  }

  async set(target: ViewTarget, policy: ViewPolicy): Promise<number> {
    const epoch = this.#leads();
    return await this.#turns.take(target.tenant, async () => {
      this.#still(epoch);
      const there = this.#placed.get(target.key);
      if (there !== undefined) return await this.#change(epoch, there, policy);
      await this.#followers.undoubted();
      await this.#place(epoch, { target, policy }, nothing());
      return 0;
    });
  }

  async stop(key: string): Promise<void> {
    const epoch = this.#leads();
    await this.#turns.take(tenantOf(key), async () => {
      this.#still(epoch);
      const there = this.#placed.get(key);
      if (there === undefined) return;
      await this.#end(epoch, key, there.at);
      if (this.#placed.get(key) === there) this.#placed.delete(key);
    });
  }

  async redrive(
    tenant: string,
    policy: string,
    sequences: readonly number[],
    dryRun: boolean,
  ): Promise<readonly (Redriven | null)[]> {
    const epoch = this.#leads();
    const at = this.#placed.get(`${tenant}/${policy}`)?.at ?? null;
    // Where there is none at all, that is said here.
    if (at === null) return await this.#options.local.redrive(tenant, policy, sequences, dryRun);
    try {
      return await at.order({ type: "redrive", epoch, tenant, policy, sequences: [...sequences], dryRun });
    } catch (error) {
      // The view is there, wherever it runs next.
      throw new LeafmeshError("conflict", `View ${tenant}/${policy} does not run now: ${errorText(error)}`);
    }
  }

  /** Begins a leadership: hears what all run. Until {@link goOn} nobody is granted more time. @returns what runs */
  async begin(epoch: number): Promise<readonly Held[]> {
    this.#lose();
    this.#epoch = epoch;
    await this.#followers.begin(epoch);
    return [...this.#options.local.held, ...this.#followers.all.flatMap(({ held }) => held)];
  }

  /**
   * Goes on with the views of which nothing has changed: those that run stay where they are, and those that the one before ran are
   * placed. All others are stopped.
   * @param wanted by their keys
   * @param ran what the one before ran, with the version of each policy
   * @returns how many stay, and how many begin
   */
  async goOn(
    epoch: number,
    wanted: ReadonlyMap<string, WantedView>,
    ran: ReadonlyMap<string, string>,
  ): Promise<{ readonly stay: number; readonly begin: number }> {
    this.#still(epoch);
    const { local, software, log } = this.#options;
    const here = local.held.map((held): Running => ({ held, at: null }));
    const there = this.#followers.all.flatMap((at) => at.held.map((held): Running => ({ held, at })));
    const { stay, stops } = adopt([...here, ...there], wanted, software);
    for (const { held, at, want } of stay) {
      const { target, placing } = held;
      this.#placed.set(target.key, { ...want, at, placing, started: true, before: nothing() });
    }
    // What was told to nobody but this one is over before it writes anything as the one that leads.
    const ends = stops.map(({ held, at }) =>
      this.#turns.take(held.target.tenant, () => this.#end(epoch, held.target.key, at)),
    );
    await Promise.all(stops.flatMap(({ at }, index) => (at === null ? [ends[index]] : [])));
    this.#still(epoch);
    local.lead(epoch);
    this.#followers.open();
    // The plan takes what it does not find among those that run for stopped.
    await Promise.all(ends);
    this.#still(epoch);
    const begins = [...ran].flatMap(([key, version]) => {
      const want = wanted.get(key);
      return want?.policy.version === version && !this.#placed.has(key) ? [want] : [];
    });
    for (const { target, policy } of begins) {
      // They may have to wait until it is certain that nobody has them; the rest of the leadership need not.
      this.set(target, policy).catch((error: unknown) => {
        log("warn", `view ${target.key} waits for the first pass: ${errorText(error)}`);
      });
    }
    return { stay: stay.length, begin: begins.length };
  }

  /** Gives what runs here to others, where there are any: this sidecar ends. */
  async handOver(): Promise<void> {
    this.#ending = true;
    const epoch = this.#epoch;
    if (epoch === null) return;
    const here = new Set([...this.#placed].flatMap(([key, { at }]) => (at === null ? [tenantOf(key)] : [])));
    const moves = [...here].map(async (tenant) => {
      const to = choosePlace(this.#choice(), tenant);
      if (to !== null && to !== this.#nameOf(null)) await this.#move(epoch, tenant, to);
    });
    await Promise.allSettled(moves);
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    this.#lose();
    this.#followers[Symbol.dispose]();
  }

  /** @throws LeafmeshError `no_leader` */
  #leads(): number {
    if (this.#epoch === null) throw this.#notLeading();
    this.#still(this.#epoch);
    return this.#epoch;
  }

  /** @throws LeafmeshError `no_leader` when a leadership is over */
  #still(epoch: number): void {
    const { members } = this.#options;
    if (this.#epoch !== epoch || !members.hasLease || members.epoch !== epoch) throw this.#notLeading();
  }

  #notLeading(): LeafmeshError {
    return new LeafmeshError("no_leader", `Member ${this.#options.members.name} does not lead the site`);
  }

  #lose(): void {
    this.#epoch = null;
    this.#placed.clear();
    this.#followers.end();
  }

  #nameOf(at: Follower | null): string {
    return at?.name ?? this.#options.members.name;
  }

  /** What there is to choose from. While a member is there that knows nothing of this, all views are here. */
  #choice(): Choice {
    const { members, software } = this.#options;
    const shared = members.live().every(({ sharesViews }) => sharesViews);
    const others = shared ? this.#followers.all.filter((one) => one.usable(software)) : [];
    const names = others.map(({ name }) => name);
    return {
      places: this.#placed.places(members.name),
      members: this.#ending && names.length > 0 ? names : [members.name, ...names],
      can: (member, tenant) => others.find(({ name }) => name === member)?.can(tenant) ?? true,
    };
  }

  #follower(name: string): Follower | null {
    const { software } = this.#options;
    return this.#followers.all.find((one) => one.name === name && one.usable(software)) ?? null;
  }

  /** Starts a view somewhere; it runs nowhere, for certain. @throws LeafmeshError `no_leader`, or why it does not start here */
  async #place(
    epoch: number,
    { target, policy }: WantedView,
    before: Totals,
    prefer: string | null = null,
  ): Promise<void> {
    const { local, log } = this.#options;
    const { key, tenant } = target;
    let preferred = prefer;
    for (;;) {
      this.#still(epoch);
      // A place that is given up must not draw the next one there.
      this.#placed.delete(key);
      const at = this.#follower(preferred ?? choosePlace(this.#choice(), tenant) ?? "");
      preferred = null;
      const placing = { epoch, number: ++this.#number };
      const placed: Placed = { target, policy, at, placing, started: false, before };
      this.#placed.set(key, placed);
      try {
        if (at === null) await local.set(placing, target, policy);
        else await this.#order(epoch, at, placed, policy);
        placed.started = true;
        return;
      } catch (error) {
        if (at === null) {
          if (this.#placed.get(key) === placed) this.#placed.delete(key);
          throw error;
        }
        log("info", `view ${key} does not run at member ${at.name}: ${errorText(error)}`);
      }
    }
  }

  /**
   * Has a follower run a view by a policy. Where it does not, it does not run it at all, for certain.
   * @returns source sequence of the last event that the policy before decided
   * @throws why it does not
   */
  async #order(epoch: number, at: Follower, placed: Placed, policy: ViewPolicy): Promise<number> {
    const { target, placing } = placed;
    const order = { type: "set", epoch, placing, ...documentsOf(target, policy) } as const;
    at.placings.set(target.key, placing);
    try {
      return (await at.order(order)).position;
    } catch (error) {
      if (!(error instanceof NotKnown)) at.cannot(target.tenant);
      // What it was told may still come into effect.
      if (error instanceof NotKnown) await at.out();
      // One that runs by an earlier policy runs on where this one is refused.
      else if (placed.started) await this.#end(epoch, target.key, at);
      else at.placings.delete(target.key);
      throw error;
    }
  }

  async #change(epoch: number, there: Placed, policy: ViewPolicy): Promise<number> {
    const { at, target, placing } = there;
    if (there.policy.version === policy.version) return 0;
    if (at === null) {
      const position = await this.#options.local.set(placing, target, policy);
      there.policy = policy;
      return position;
    }
    const stats = at.stats.get(target.key);
    try {
      const position = await this.#order(epoch, at, there, policy);
      there.policy = policy;
      return position;
    } catch {
      await this.#place(epoch, { target, policy }, counted(there, stats ?? null));
      return stats?.position ?? 0;
    }
  }

  /** Stops a view where it runs: when this is over, nothing more of it is written from there. @returns what it has done */
  async #end(epoch: number, key: string, at: Follower | null): Promise<ViewStats | null> {
    if (at === null) return await this.#options.local.stop(key);
    try {
      const { stats } = await at.order({ type: "stop", epoch, key });
      const told = at.stats.get(key) ?? null;
      at.placings.delete(key);
      at.stats.delete(key);
      return stats ?? told;
    } catch {
      await at.out();
      return at.stats.get(key) ?? null;
    }
  }

  /** A view that runs nowhere any more is started somewhere. */
  async #placeAgain(key: string, there: Placed): Promise<void> {
    const epoch = this.#epoch;
    if (epoch === null) return;
    await this.#turns.take(tenantOf(key), async () => {
      if (this.#placed.get(key) !== there || this.#epoch !== epoch) return;
      await this.#moved(key, () =>
        this.#place(epoch, there, counted(there, there.at?.stats.get(key) ?? null)),
      );
    });
  }

  /** Moves all views of a tenant to a member. */
  async #move(epoch: number, tenant: string, to: string): Promise<void> {
    await this.#turns.take(tenant, async () => {
      for (const [key, there] of [...this.#placed]) {
        if (tenantOf(key) !== tenant || this.#nameOf(there.at) === to) continue;
        this.#still(epoch);
        if (!(await this.#canTake(epoch, to, there))) return;
        const stats = await this.#end(epoch, key, there.at);
        await this.#moved(key, () => this.#place(epoch, there, counted(there, stats), to));
      }
    });
  }

  /** Whether a member can run a view: asked before it is stopped where it runs. */
  async #canTake(epoch: number, to: string, { target, policy }: Placed): Promise<boolean> {
    if (to === this.#nameOf(null)) return true;
    const follower = this.#follower(to);
    if (follower?.can(target.tenant) !== true) return false;
    try {
      await follower.order({ type: "prepare", epoch, ...documentsOf(target, policy) });
      return true;
    } catch (error) {
      follower.cannot(target.tenant);
      this.#options.log("info", `member ${to} is not given tenant ${target.tenant}: ${errorText(error)}`);
      return false;
    }
  }

  /** What does not come to run is no view that runs: the next pass sees to it. */
  async #moved(key: string, work: () => Promise<void>): Promise<void> {
    const { log, changed } = this.#options;
    try {
      await work();
      log("info", `view ${key} runs at member ${this.memberOf(key)} now`);
    } catch (error) {
      log("warn", `view ${key} does not run: ${errorText(error)}`);
      this.#placed.delete(key);
      if (this.#epoch !== null) changed();
    }
  }
}
