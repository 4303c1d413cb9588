/**
 * One of the other members as the one that leads knows it: what it was told to run, when it was last granted more time, and whether it
 * is certain that it writes nothing any more.
 */
import { MEMBER_TIMES } from "../../control/members/heartbeat.ts";
import type { MemberRpc } from "../../control/members/member_rpc.ts";
import type { ViewStats } from "../../flow/view_worker.ts";
import { type ErrorCode, LeafmeshError } from "../../model/errors.ts";
import {
  decode,
  encode,
  type Held,
  ORDER_VERB,
  type Order,
  type OrderAnswers,
  type Placing,
  type Report,
} from "./messages.ts";

/** Somewhat longer than a view's thread may take. */
const ORDER_MS: Readonly<Record<Order["type"], number>> = {
  enter: 700,
  prepare: 5_000,
  set: 20_000,
  stop: 20_000,
  redrive: 65_000,
};
/** With these nobody knows what the member has done. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["timeout", "no_leader", "internal"]);
/** How long a tenant is not tried again at a member that lacks what its policies need. */
const UNABLE_MS = 60_000;

/** Nobody knows what a member has done: it must be out for certain before anybody else does it. */
export class NotKnown extends Error {
  override readonly name = "NotKnown";
}

export class Follower {
  readonly name: string;
  readonly instance: string;
  /** What it was told to run, and has not said to have stopped. */
  readonly placings = new Map<string, Placing>();
  /** How often it has not said that it runs what it was told to. */
  readonly missed = new Map<string, number>();
  /** What it has told of each view last. */
  readonly stats = new Map<string, ViewStats>();
  /** What it has said that it runs. */
  held: readonly Held[] = [];
  leaving = false;
  #software = "";
  readonly #rpc: MemberRpc;
  readonly #unable = new Map<string, number>();
  readonly #usableFrom: number;
  /** When it was granted time last, by the clock of this process: it asked before. */
  #grantedAt = performance.now();
  /** When it was heard last; what could not be heard does not count. */
  #heardAt = performance.now();
  #drops = 0;
  #cut = false;
  readonly #lost = new AbortController();
  readonly #out = Promise.withResolvers<void>();
  #isOut = false;

  /** @param newMs for how long it is only looked at, before it is given views */
  constructor(name: string, instance: string, rpc: MemberRpc, newMs: number) {
    this.name = name;
    this.instance = instance;
    this.#rpc = rpc;
    this.#usableFrom = performance.now() + newMs;
  }

  /** It is granted nothing any more. */
  get isCut(): boolean {
    return this.#cut;
  }

  /** Whether it may be told to run views. */
  usable(software: string): boolean {
    return performance.now() >= this.#usableFrom && this.runs(software);
  }

  /** Whether it may go on with what it runs. */
  runs(software: string): boolean {
    return !this.#cut && !this.leaving && this.#software === software;
  }

  /** Whether it has what a tenant's policies need, as far as is known. */
  can(tenant: string): boolean {
    return performance.now() >= (this.#unable.get(tenant) ?? 0);
  }

  /** It has said that it cannot run a tenant's views. */
  cannot(tenant: string): void {
    this.#unable.set(tenant, performance.now() + UNABLE_MS);
  }

  /** It has reported. */
  heard({ software, leaving, held, stats, drops }: Report): void {
    this.#software = software;
    this.leaving = leaving;
    this.held = held;
    for (const [key, one] of Object.entries(stats)) this.stats.set(key, one);
    this.#heardAt = performance.now();
    // One that is cut has heard that: what it was told before comes to nothing, and nothing of it is written.
    if (this.#cut && drops > this.#drops) this.gone();
    this.#drops = drops;
  }

  /** It is granted more time now. */
  granted(): void {
    this.#grantedAt = performance.now();
  }

  /** The time so far does not count: it could not be heard. */
  pardon(): void {
    this.#heardAt = performance.now();
  }

  /** Whether it has said nothing for so long that others take its views. */
  get silent(): boolean {
    return performance.now() - this.#heardAt >= MEMBER_TIMES.takeMs;
  }

  /** Grants nothing any more: what is asked of it is given up. */
  cut(): void {
    this.#cut = true;
    this.#lost.abort(new NotKnown(`Member ${this.name} has been given up`));
  }

  /** Nothing of it runs any more. */
  gone(): void {
    this.cut();
    this.#isOut = true;
    this.#out.resolve();
  }

  /** Looks whether what it was granted has run out. */
  look(): void {
    if (this.#cut && performance.now() - this.#grantedAt >= MEMBER_TIMES.takeMs) this.gone();
  }

  /** Whether it is certain that it writes nothing. */
  get isOut(): boolean {
    return this.#isOut;
  }

  /** Waits until it is certain that it writes nothing; it is cut. */
  async out(): Promise<void> {
    this.cut();
    await this.#out.promise;
  }

  /**
   * Has it do something.
   * @throws LeafmeshError what it refuses it with
   * @throws {NotKnown} when nobody knows what it has done
   */
  async order<O extends Order>(order: O): Promise<OrderAnswers[O["type"]]> {
    const { signal } = this.#lost;
    try {
      const timeoutMs = ORDER_MS[order.type];
      const answer = await this.#rpc.ask(this.name, ORDER_VERB, encode(order), { timeoutMs, signal });
      return decode(answer) as OrderAnswers[O["type"]];
    } catch (error) {
      if (error instanceof LeafmeshError && !UNKNOWN.has(error.code)) throw error;
      if (error instanceof NotKnown) throw error;
      throw new NotKnown(error instanceof Error ? error.message : String(error));
    }
  }
}
