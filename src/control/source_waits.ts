/**
 * When a source that was taken out may be put in again. nats-server waits five seconds for the answer to what it asks for when a source
 * attaches, also when the source is taken out meanwhile. Put in again at once, there are two such waits; where both are answered, or
 * the first ends while the second lasts, a subscription is left that nobody ends: the consumer delivers to nobody for as long
 * as the server runs, and the source never attaches again: {@link LeftListeners} finds it.
 * Source: nats-server 2.15.1 `server/stream.go`, trySetupSourceConsumer, which looks a source up by its name when it is answered.
 */
import type { StreamSource } from "@nats-io/jetstream";
import type { StreamAccount } from "./assets.ts";
import { sourceKey } from "./differences.ts";
import { Waiting } from "./waiting.ts";

/** The server's wait of five seconds, srcDurableConsumerWaitTime, and what it may take on a busy machine to begin and to end. */
const SERVER_WAITS_MS = 7000;
/** What is put in so soon after a server has started is answered before the wait from its start ends. */
const EARLY_MS = 3500;

/** Sources of one stream. */
export interface SourcesOf {
  readonly account: StreamAccount;
  readonly stream: string;
}

export class SourceWaits {
  readonly #now: () => number;
  /** Of a source: from when to when it must stay out. */
  readonly #waits = new Map<string, { readonly from: number; readonly until: number }>();

  /** Until when a source that is out may have been taken out by somebody else. */
  readonly #othersUntil: number;

  /** @param now milliseconds of a clock that never goes back @param adopted whether the server was there before */
  constructor(now: () => number, adopted = false) {
    this.#now = now;
    this.#othersUntil = adopted ? now() + SERVER_WAITS_MS : Number.NEGATIVE_INFINITY;
  }

  /**
   * Sources are taken out.
   * @param startedAt of the server that has asked for nothing but since its start, by the same clock; default: it may have asked just now
   */
  takenOut(of: SourcesOf, sources: readonly StreamSource[], startedAt?: number): void {
    const now = this.#now();
    for (const [key, { until }] of this.#waits) if (until < now) this.#waits.delete(key);
    const from = startedAt === undefined ? now : startedAt + EARLY_MS;
    for (const source of sources) this.#waits.set(keyOf(of, source), { from, until: now + SERVER_WAITS_MS });
  }

  /** Throws unless a source may be put in now. @throws {Waiting} */
  requireFree(of: SourcesOf, source: StreamSource): void {
    const why = this.why(of, source);
    if (why !== null) throw new Waiting(why);
  }

  /** Why a source must not be put in now; `null`: it may. */
  why(of: SourcesOf, source: StreamSource): string | null {
    const now = this.#now();
    const { from, until } = this.#waits.get(keyOf(of, source)) ?? { from: now, until: this.#othersUntil };
    if (now < from || now >= until) return null;
    const seconds = Math.ceil((until - now) / 1000);
    return `${source.name} was taken out of ${of.stream}, or may have been, and the server may still wait for its consumer: in ${seconds} s`;
  }
}

function keyOf({ account, stream }: SourcesOf, source: StreamSource): string {
  return `${account.type === "mesh" ? "" : account.tenant} ${stream} ${sourceKey(source)}`;
}
