/**
 * Quotas of a view: token buckets for each rule with a rate, and for the export as a whole. An event passes when every bucket
 * that it counts in has enough, and then takes from all of them; one that does not fit waits or is dropped, and takes
 * nothing. A bucket holds at most a burst; an event larger than that passes when the bucket is full.
 *
 * The buckets belong to a view's worker: a change of the policy keeps what is in them (no more than the new burst), so that
 * writing a policy again and again lets nothing more through. A worker that starts anew begins with full ones.
 */
import type { RuleRef } from "../model/event.ts";
import type { ExportPolicy } from "../model/schema/policy.ts";
import { parseByteRate, parseDurationMs, parseRate } from "../model/units.ts";

/** One limit: of a rule, or of the whole export. Rates are per second, infinite where there is none. */
export interface QuotaSpec {
  /** The same as long as it is the same rule's. */
  readonly key: string;
  /** As sentences name it: `rule eu, 500/s`. */
  readonly label: string;
  readonly messages: number;
  readonly bytes: number;
  readonly burstMs: number;
  readonly drop: boolean;
}

/** The limits of a policy; `rules` by their place. */
export interface QuotaSpecs {
  readonly whole: QuotaSpec | null;
  readonly rules: readonly (QuotaSpec | null)[];
}

export const NO_QUOTAS: QuotaSpecs = { whole: null, rules: [] };

type Limit = Pick<NonNullable<ExportPolicy["limit"]>, "messages" | "bytes" | "burst" | "onLimit">;

/** The rates that a policy sets, as numbers. */
export function quotaSpecs(policy: ExportPolicy): QuotaSpecs {
  const seen = new Map<string, number>();
  const rules = policy.rules.map((rule, index) => {
    const named = rule.name === undefined ? `subjects ${rule.subjects.join(" ")}` : `name ${rule.name}`;
    const nth = seen.get(named) ?? 0;
    seen.set(named, nth + 1);
    return quotaSpec(rule.limit, `${named} ${nth}`, `rule ${rule.name ?? `#${index + 1}`}`);
  });
  return { whole: quotaSpec(policy.limit, "whole", `export ${policy.name}`), rules };
}

function quotaSpec(limit: Limit | undefined, key: string, of: string): QuotaSpec | null {
  if (limit === undefined || (limit.messages === undefined && limit.bytes === undefined)) return null;
  const rates = [limit.messages, limit.bytes].filter((one) => one !== undefined).join(" and ");
  return {
    key,
    label: `${of}, ${rates}`,
    messages: parseRate(limit.messages ?? "") ?? Number.POSITIVE_INFINITY,
    bytes: parseByteRate(limit.bytes ?? "") ?? Number.POSITIVE_INFINITY,
    burstMs: parseDurationMs(limit.burst ?? "1s") ?? 1000,
    drop: limit.onLimit === "drop",
  };
}

/** What a quota says of an event. */
export type Admission =
  | { readonly type: "pass" }
  /** Ask again after this long. */
  | { readonly type: "wait"; readonly ms: number; readonly why: string }
  | { readonly type: "drop" };

const PASS: Admission = { type: "pass" };
const DROP: Admission = { type: "drop" };
/** What summing up fractions may lose. */
const EPSILON = 1e-6;

class Bucket {
  #rate: number;
  #capacity: number;
  #tokens: number;
  #at: number;

  constructor(rate: number, burstMs: number, now: number) {
    this.#rate = rate;
    this.#capacity = Math.max(1, (rate * burstMs) / 1000);
    this.#tokens = this.#capacity;
    this.#at = now;
  }

  change(rate: number, burstMs: number, now: number): void {
    this.#fill(now);
    this.#rate = rate;
    this.#capacity = Math.max(1, (rate * burstMs) / 1000);
    this.#tokens = Math.min(this.#tokens, this.#capacity);
  }

  /** Milliseconds until `cost` may pass; 0 when it may now. */
  waitMs(cost: number, now: number): number {
    if (this.#rate === Number.POSITIVE_INFINITY) return 0;
    this.#fill(now);
    const lacking = Math.min(cost, this.#capacity) - this.#tokens;
    return lacking <= EPSILON ? 0 : (lacking / this.#rate) * 1000;
  }

  take(cost: number): void {
    if (this.#rate !== Number.POSITIVE_INFINITY) this.#tokens -= cost;
  }

  #fill(now: number): void {
    if (this.#rate === Number.POSITIVE_INFINITY) {
      this.#tokens = Number.POSITIVE_INFINITY;
    } else {
      const gained = (this.#rate * Math.max(0, now - this.#at)) / 1000;
      this.#tokens = Math.min(this.#capacity, this.#tokens + gained);
    }
    this.#at = now;
  }
}

interface Quota {
  spec: QuotaSpec;
  readonly messages: Bucket;
  readonly bytes: Bucket;
}

export class Quotas {
  readonly #now: () => number;
  #quotas = new Map<string, Quota>();
  #whole: Quota | null = null;
  #rules: readonly (Quota | null)[] = [];

  /** @param now milliseconds of a clock that never goes back */
  constructor(specs: QuotaSpecs, now: () => number = () => performance.now()) {
    this.#now = now;
    this.change(specs);
  }

  /** Whether there is any limit. */
  get any(): boolean {
    return this.#quotas.size > 0;
  }

  /** Sets other limits. What was left of the ones before counts on. */
  change(specs: QuotaSpecs): void {
    const now = this.#now();
    const before = this.#quotas;
    this.#quotas = new Map();
    const quotaOf = (spec: QuotaSpec | null) => (spec === null ? null : this.#quota(spec, before, now));
    this.#whole = quotaOf(specs.whole);
    this.#rules = specs.rules.map(quotaOf);
  }

  /**
   * Whether an event that a rule forwards may pass now; if so it is counted.
   * @param bytes of what leaves
   * @param mayDrop whether it may be dropped where the limit says so; else it waits
   */
  admit(rule: RuleRef, bytes: number, mayDrop = true): Admission {
    if (this.#quotas.size === 0) return PASS;
    const own = this.#rules[rule.index] ?? null;
    const whole = this.#whole;
    if (own === null && whole === null) return PASS;
    const now = this.#now();
    const ownMs = own === null ? 0 : waitMs(own, bytes, now);
    if (ownMs > 0 && mayDrop && own?.spec.drop === true) return DROP;
    const wholeMs = whole === null ? 0 : waitMs(whole, bytes, now);
    if (wholeMs > 0 && mayDrop && whole?.spec.drop === true) return DROP;
    if (ownMs > 0 || wholeMs > 0) {
      const by = ownMs >= wholeMs ? own : whole;
      return { type: "wait", ms: Math.max(ownMs, wholeMs), why: by?.spec.label ?? "" };
    }
    for (const quota of [own, whole]) {
      quota?.messages.take(1);
      quota?.bytes.take(bytes);
    }
    return PASS;
  }

  #quota(spec: QuotaSpec, before: ReadonlyMap<string, Quota>, now: number): Quota {
    const { key, messages, bytes, burstMs } = spec;
    const kept = before.get(key);
    const quota = kept ?? {
      spec,
      messages: new Bucket(messages, burstMs, now),
      bytes: new Bucket(bytes, burstMs, now),
    };
    if (kept !== undefined) {
      kept.spec = spec;
      kept.messages.change(messages, burstMs, now);
      kept.bytes.change(bytes, burstMs, now);
    }
    this.#quotas.set(key, quota);
    return quota;
  }
}

function waitMs({ messages, bytes }: Quota, size: number, now: number): number {
  return Math.max(messages.waitMs(1, now), bytes.waitMs(size, now));
}
