/** How much one principal, one address and all together may ask of the API at once. */
import type { Context } from "hono";
import { LeafmeshError } from "../../src/model/errors.ts";
import type { Principal } from "../../src/model/principal.ts";
import type { ApiEnv } from "../options.ts";
import type { BodyLimits } from "./body.ts";
import { type Rate, TokenBuckets } from "./token_bucket.ts";

/** Limits of the API; what is not given has its default. */
export interface ApiLimits extends BodyLimits {
  /** Requests of one principal. Default 100 a second, 500 at once. */
  readonly perPrincipal?: Rate;
  /** Requests of one address that need no token, or have none. Default 50 a second, 200 at once. */
  readonly perAddress?: Rate;
  /** Wrong tokens from one address. Default 1 a second, 50 at once. */
  readonly failures?: Rate;
  /** Requests under way of one principal. Default 64. */
  readonly concurrentPerPrincipal?: number;
  /** Requests under way of all. Default 512. */
  readonly concurrent?: number;
}

type Next = () => Promise<void>;

export class Gate {
  readonly #principals: TokenBuckets;
  readonly #addresses: TokenBuckets;
  readonly #failures: TokenBuckets;
  readonly #mostEach: number;
  readonly #most: number;
  readonly #running = new Map<string, number>();
  #all = 0;

  constructor(limits: ApiLimits = {}, now: () => number = () => performance.now()) {
    this.#principals = new TokenBuckets(limits.perPrincipal ?? { perSecond: 100, burst: 500 }, now);
    this.#addresses = new TokenBuckets(limits.perAddress ?? { perSecond: 50, burst: 200 }, now);
    this.#failures = new TokenBuckets(limits.failures ?? { perSecond: 1, burst: 50 }, now);
    this.#mostEach = limits.concurrentPerPrincipal ?? 64;
    this.#most = limits.concurrent ?? 512;
  }

  /** Runs what needs no token. @throws LeafmeshError `rate_limited` */
  async open(c: Context<ApiEnv>, next: Next): Promise<void> {
    await this.#run(c, `address ${addressOf(c)}`, this.#addresses, next);
  }

  /** Counts a request that has no token where one is wanted. @throws LeafmeshError `rate_limited` */
  anonymous(c: Context<ApiEnv>): void {
    const waitMs = this.#addresses.take(`address ${addressOf(c)}`);
    if (waitMs > 0) throw this.tooMany(c, "Too many requests", waitMs);
  }

  /** Runs what a principal asks for. @throws LeafmeshError `rate_limited` */
  async admit(c: Context<ApiEnv>, { type, name }: Principal, next: Next): Promise<void> {
    await this.#run(c, `${type} ${name}`, this.#principals, next);
  }

  /**
   * Whether a wrong token is told that it is wrong: else only that there were too many. One that holds is let in from the
   * same address at any time, so nobody is locked out by others.
   */
  mayFail(c: Context<ApiEnv>): boolean {
    return this.#failures.take(addressOf(c)) === 0;
  }

  /** The error for what comes too often. Sets `Retry-After`. */
  tooMany(c: Context<ApiEnv>, what: string, waitMs = 1000): LeafmeshError {
    const seconds = Math.max(1, Math.ceil(waitMs / 1000));
    c.header("Retry-After", String(seconds));
    return new LeafmeshError("rate_limited", `${what}: try again in ${seconds} s`);
  }

  async #run(c: Context<ApiEnv>, key: string, buckets: TokenBuckets, next: Next): Promise<void> {
    const waitMs = buckets.take(key);
    if (waitMs > 0) throw this.tooMany(c, "Too many requests", waitMs);
    const running = this.#running.get(key) ?? 0;
    if (running >= this.#mostEach || this.#all >= this.#most) {
      throw this.tooMany(c, "Too many requests are under way");
    }
    this.#running.set(key, running + 1);
    this.#all += 1;
    try {
      await next();
    } finally {
      this.#all -= 1;
      const left = (this.#running.get(key) ?? 1) - 1;
      if (left === 0) this.#running.delete(key);
      else this.#running.set(key, left);
    }
  }
}

/** The client's address; of IPv6 the network of one customer. Headers of proxies are not believed. */
function addressOf(c: Context<ApiEnv>): string {
  const address = c.env?.address ?? "";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return address.includes(":") ? expanded(address).slice(0, 4).join(":") : address;
}

function expanded(address: string): string[] {
  const [head = "", tail = ""] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const zeros = address.includes("::")
    ? new Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0")
    : [];
  return [...left, ...zeros, ...right];
}
