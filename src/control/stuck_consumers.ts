/**
 * Finds consumers that should deliver and do not: events wait, somebody takes them, and nothing moves. A request for flow control or
 * its answer that is lost may hold one for as long as nobody looks; who takes it is made to attach again, which sets it back to what is
 * acknowledged, and passes over what he has. Where that does not help, what crosses the link is not heard: the link is made anew, and a log attached again.
 * Over a slow link much is on its way between two acknowledgements: a consumer is stuck when its peer has stored nothing meanwhile.
 */
import type { ConsumerInfo } from "@nats-io/jetstream";
import { isPeerConsumer, type ObservedStreams } from "./observe.ts";
import { type Pace, Retries } from "./retries.ts";

/** A consumer hears of who takes it every second; one that stands still for longer than this is set back. */
const STUCK_MS = 15_000;
/** Between two attempts for one consumer, and how often it must have been seen at the same place before the first. */
const PACE: Pace = { waitMs: 15_000, mostMs: 300_000, looks: 4 };

/** A consumer to set going again. */
export interface StuckConsumer {
  readonly stream: string;
  readonly consumer: string;
  /** How: by who takes it attaching again, by a new link to the peer, or by a tenant's log that attaches again. */
  readonly by: "reset" | "link" | "attach";
}

interface Standing {
  readonly place: string;
  /** How far the peer had stored the stream; `null`: it was not asked. */
  readonly stored: number | null;
  /** Of a peer's consumer: those that the peer has been asked about. */
  readonly attempts: number;
}

export class StuckConsumers {
  readonly #retries: Retries;
  #standing = new Map<string, Standing>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#retries = new Retries(now, PACE);
  }

  /** The consumers to set going now; those of peers only where {@link stands} says so. */
  find(streams: ObservedStreams): StuckConsumer[] {
    const still = new Map<string, Standing>();
    const found: {
      readonly key: string;
      readonly holdMs: number;
      readonly stream: string;
      readonly consumer: string;
    }[] = [];
    /** Peers that get something over their link. */
    const served = new Set<string>();
    for (const [stream, { consumers }] of streams) {
      for (const [consumer, info] of consumers) {
        if (!waits(info)) continue;
        const key = `${stream} ${consumer}`;
        const place = placeOf(info);
        const before = this.#standing.get(key);
        const stands = before?.place === place;
        if (!stands) served.add(consumer);
        still.set(key, stands ? before : { place, stored: null, attempts: 0 });
        found.push({ key: `${key} ${place}`, holdMs: STUCK_MS, stream, consumer });
      }
    }
    this.#standing = still;
    const due = this.#retries.due(found).map(({ stream, consumer }) => {
      const attempts = this.#attempts(stream, consumer);
      return {
        stream,
        consumer,
        by: attempts === 0 ? "reset" : isPeerConsumer(consumer) ? "link" : "attach",
      } as const;
    });
    return oncePerLink(
      due.map((one) => (one.by === "link" && served.has(one.consumer) ? { ...one, by: "reset" } : one)),
    );
  }

  /** Attempts that were made for a consumer at this place; of one that is no peer's this is another one. */
  #attempts(stream: string, consumer: string): number {
    const key = `${stream} ${consumer}`;
    const standing = this.#standing.get(key);
    if (standing === undefined) return 0;
    if (!isPeerConsumer(consumer)) this.#standing.set(key, { ...standing, attempts: standing.attempts + 1 });
    return standing.attempts;
  }

  /** Whether a peer has stored nothing since it was asked before, while its consumer stood at the same place. */
  stands({ stream, consumer }: StuckConsumer, stored: number): boolean {
    const key = `${stream} ${consumer}`;
    const standing = this.#standing.get(key);
    if (standing === undefined) return false;
    const stands = standing.stored === stored;
    this.#standing.set(key, { ...standing, stored, attempts: standing.attempts + (stands ? 1 : 0) });
    return stands;
  }
}

/** Whether a consumer has something for somebody who is there to take it. */
function waits({ config, paused, push_bound, num_pending, num_ack_pending }: ConsumerInfo): boolean {
  return (
    config.deliver_subject !== undefined &&
    paused !== true &&
    push_bound === true &&
    num_pending + num_ack_pending > 0
  );
}

function placeOf({ delivered, ack_floor }: ConsumerInfo): string {
  return `${delivered.stream_seq} ${ack_floor.stream_seq}`;
}

/** One link serves all consumers of a peer. */
function oncePerLink(due: readonly StuckConsumer[]): StuckConsumer[] {
  const cut = new Set<string>();
  return due.filter(({ by, consumer }) => {
    if (by !== "link") return true;
    const first = !cut.has(consumer);
    cut.add(consumer);
    return first;
  });
}
