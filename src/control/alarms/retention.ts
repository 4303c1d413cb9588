/**
 * Says before retention drops what a peer, or a view, has not taken yet: when, and how much of it waits. Age is exact: the
 * time of the oldest event that waits. Size is a forecast, from how fast the backlog grows now.
 */

import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import { viewConsumer } from "../../model/names.ts";
import { bytesText } from "../../model/units.ts";
import { isPeerConsumer, type ObservedStreams } from "../observe.ts";
import type { Plan } from "../plan.ts";
import { viewKey } from "../step.ts";
import type { Danger } from "./dangers.ts";
import { waitText } from "./text.ts";

/** Who takes events from a stream, and must have taken them before retention does. */
export interface StreamReader {
  readonly target: string;
  readonly tenant: string;
  readonly peer: string | null;
  readonly info: StreamInfo;
  readonly consumer: ConsumerInfo;
}

/** The oldest event that waits for a reader. */
export interface OldestWaiting {
  readonly sequence: number;
  readonly timeMs: number;
}

/** When it is told: so long ahead, or when so little is left of the age or the room. */
export interface RetentionHorizon {
  readonly withinMs: number;
  /** 0.2: when the backlog takes four fifths. */
  readonly share: number;
}

export interface RetentionWatchOptions {
  readonly horizon: RetentionHorizon;
  /** The first event of a stream from a sequence on that a filter passes; `null`: none. */
  readonly oldest: (
    stream: string,
    from: number,
    filters: readonly string[],
  ) => Promise<OldestWaiting | null>;
  /** Milliseconds of a clock that never goes back, for rates. */
  readonly clock: () => number;
  /** Milliseconds since 1970, as the server counts. */
  readonly now: () => number;
}

/** Rates are of the last while, and of nothing that is shorter than the second value. */
const WINDOW_MS = 30_000;
const LEAST_WINDOW_MS = 5000;
const SAMPLES = 16;

interface Sample {
  readonly at: number;
  readonly last: number;
  readonly next: number;
}

interface Known {
  readonly samples: readonly Sample[];
  readonly oldest: (OldestWaiting & { readonly from: number }) | null;
}

/** The routes to peers, and the workers of views. */
export function streamReaders(plan: Plan, streams: ObservedStreams): StreamReader[] {
  const routes = plan.out.flatMap(({ export: { tenant, policy, stream }, peer, hold }) => {
    const observed = streams.get(stream);
    const consumer = observed?.consumers.get(peer);
    // A peer that accepts nothing misses nothing.
    if (observed === undefined || consumer === undefined || hold !== null || !isPeerConsumer(peer)) return [];
    const target = `${tenant.name}/${policy.name}/${peer}`;
    return [{ target, tenant: tenant.name, peer, info: observed.info, consumer }];
  });
  const views = plan.exports.flatMap((one) => {
    if (one.route.type !== "view") return [];
    const observed = streams.get(one.source);
    const consumer = observed?.consumers.get(viewConsumer(one.policy.name));
    if (observed === undefined || consumer === undefined) return [];
    return [{ target: viewKey(one), tenant: one.tenant.name, peer: null, info: observed.info, consumer }];
  });
  return [...routes, ...views];
}

export class RetentionWatch {
  readonly #options: RetentionWatchOptions;
  /** One entry a reader that has something to take, and was there at the last look. */
  #known = new Map<string, Known>();

  constructor(options: RetentionWatchOptions) {
    this.#options = options;
  }

  /** What stands to be lost. */
  async find(readers: readonly StreamReader[]): Promise<Danger[]> {
    const next = new Map<string, Known>();
    const dangers: Danger[] = [];
    for (const reader of readers) {
      const key = `${reader.target} ${reader.info.config.name}`;
      const found = await this.#look(reader, this.#known.get(key));
      if (found === null) continue;
      next.set(key, found.known);
      if (found.danger !== null) dangers.push(found.danger);
    }
    this.#known = next;
    return dangers;
  }

  /** `null`: nothing waits. */
  async #look(
    reader: StreamReader,
    before: Known | undefined,
  ): Promise<{ readonly known: Known; readonly danger: Danger | null } | null> {
    const { info, consumer } = reader;
    const { config, state } = info;
    const waiting = consumer.num_pending + consumer.num_ack_pending;
    if (waiting === 0 || state.messages === 0) return null;
    const nextSequence = Math.max(consumer.ack_floor.stream_seq + 1, consumer.config.opt_start_seq ?? 1);
    const at = this.#options.clock();
    const old = (before?.samples ?? []).filter((one) => at - one.at <= WINDOW_MS).slice(1 - SAMPLES);
    const samples = [...old, { at, last: state.last_seq, next: nextSequence }];
    const from = Math.max(nextSequence, state.first_seq);
    const eventBytes = state.bytes / state.messages;
    const growth = growthOf(samples) * eventBytes;
    // Coarsely first: all that is stored from here on, and nothing is older than the stream's first event.
    const coarse = this.#forecast(info, backlogBytes(state, from), Date.parse(state.first_ts), growth);
    if (coarse === null) return { known: { samples, oldest: null }, danger: null };
    const kept = before?.oldest ?? null;
    const oldest =
      kept !== null && kept.from === nextSequence && kept.sequence >= state.first_seq
        ? kept
        : await this.#oldest(config.name, from, consumer);
    if (oldest === null) return { known: { samples, oldest: null }, danger: null };
    const known = { samples, oldest: { ...oldest, from: nextSequence } };
    const forecast = this.#forecast(info, backlogBytes(state, oldest.sequence), oldest.timeMs, growth);
    if (forecast === null) return { known, danger: null };
    const { tenant, peer, target } = reader;
    const who = peer ?? `view ${target}`;
    const waits = `${waiting} events (about ${bytesText(waiting * eventBytes)}) of ${config.name} wait for ${who}, from ${oldest.sequence} on`;
    const detail = `${waits}: ${forecast}`;
    return {
      known,
      danger: { name: "retention-ahead", target, tenant, ...(peer === null ? {} : { peer }), detail },
    };
  }

  async #oldest(stream: string, from: number, { config }: ConsumerInfo): Promise<OldestWaiting | null> {
    const filters = config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
    return await this.#options.oldest(stream, from, filters);
  }

  /** When and why the oldest is dropped, where that is near; `null`: it is not. */
  #forecast({ config }: StreamInfo, backlog: number, oldestMs: number, growth: number): string | null {
    const { withinMs, share } = this.#options.horizon;
    const told: string[] = [];
    const maxAgeMs = Number(config.max_age) / 1e6;
    if (maxAgeMs > 0) {
      const leftMs = oldestMs + maxAgeMs - this.#options.now();
      const near = leftMs <= Math.min(withinMs, maxAgeMs / 2) || leftMs <= maxAgeMs * share;
      if (near) told.push(`the first is dropped in ${waitText(leftMs)} for limits.maxAge`);
    }
    // A stream that refuses when it is full drops for age alone.
    if (config.max_bytes > 0 && config.discard === "old") {
      const room = Math.max(0, config.max_bytes - backlog);
      const leftMs = growth > 0 ? (room / growth) * 1000 : Number.POSITIVE_INFINITY;
      const limit = `limits.storage, of which it takes ${Math.round((backlog / config.max_bytes) * 100)} %`;
      if (leftMs <= withinMs) {
        told.push(`the first is dropped in ${waitText(leftMs)} at ${bytesText(growth)}/s for ${limit}`);
      } else if (room <= config.max_bytes * share) {
        told.push(`the next that are published drive the first out for ${limit}`);
      }
    }
    return told.length === 0 ? null : told.join("; ");
  }
}

function backlogBytes({ messages, bytes, first_seq, last_seq }: StreamInfo["state"], from: number): number {
  const stored = Math.max(1, last_seq - first_seq + 1);
  return (bytes * Math.min(stored, last_seq - from + 1)) / Math.max(stored, messages);
}

/** Events a second by which the backlog grows; 0 when it does not, or that is not known yet. */
function growthOf(samples: readonly Sample[]): number {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < LEAST_WINDOW_MS) return 0;
  const grown = last.last - first.last - (last.next - first.next);
  return Math.max(0, (grown * 1000) / (last.at - first.at));
}
