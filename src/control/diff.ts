/** What a candidate would have done with events that are stored: nothing is published, nothing is changed. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import type { EventScan } from "../model/event_scan.ts";
import { formatDurationMs } from "../model/units.ts";
import { Comparison } from "../policy/compare.ts";
import type { Candidacy } from "./candidate.ts";
import type { DiffReport, DiffRequest, Place } from "./compare_api.ts";
import { placeOf, showComparison, versionsOf } from "./compare_show.ts";
import { apiTime } from "./observe.ts";

/** Events of one diff at most. */
export const MOST_DIFF_EVENTS = 1_000_000;
/** A diff has a quarter of the thread's time at most: views and the API go on beside it. */
const PACE = { perSecond: 10_000, share: 0.25 } as const;

/** Runs one diff at a time: each costs a share of the sidecar's thread. */
export class Differ {
  readonly #mesh: JetStreamManager;
  readonly #scan: EventScan;
  #running: string | null = null;

  constructor(mesh: JetStreamManager, scan: EventScan) {
    this.#mesh = mesh;
    this.#scan = scan;
  }

  /**
   * Holds a candidate against stored events.
   * @throws {LeafmeshError} `conflict` while another diff runs, `not_found` when the stream is not there yet
   */
  async run(tenant: string, name: string, sides: Candidacy, request: DiffRequest): Promise<DiffReport> {
    if (this.#running !== null) {
      throw new LeafmeshError("conflict", `A diff of ${this.#running} runs: try again when it is done`);
    }
    this.#running = `${tenant}/${name}`;
    try {
      return await this.#run(tenant, name, sides, request);
    } finally {
      this.#running = null;
    }
  }

  async #run(tenant: string, name: string, sides: Candidacy, request: DiffRequest): Promise<DiffReport> {
    const started = performance.now();
    const { stream, filter, active, candidate } = sides;
    const { state } = await this.#mesh.streams.info(stream);
    const comparison = new Comparison(active, candidate);
    let first: Place | null = null;
    let lastEvent = { sequence: 0, timeMs: 0 };
    const { start, notes } = startOf(state, request.range);
    const deadline = AbortSignal.timeout(request.deadlineMs);
    const end = await this.#scan({
      stream,
      filter,
      start,
      end: state.last_seq,
      signal: AbortSignal.any([request.signal, deadline]),
      onEvent: (event) => {
        if (comparison.events >= MOST_DIFF_EVENTS) return;
        first ??= placeOf(event);
        lastEvent = { sequence: event.sequence, timeMs: event.timeMs };
        comparison.add(event);
      },
      onSlice: () => comparison.events < MOST_DIFF_EVENTS,
      pace: () => PACE,
    });
    if (end !== "end") notes.push(shortOf(end, comparison.events, request));
    return {
      tenant,
      export: name,
      stream,
      ...versionsOf(active, candidate),
      first,
      last: first === null ? null : placeOf(lastEvent),
      complete: end === "end",
      notes,
      tookMs: Math.round(performance.now() - started),
      comparison: showComparison(comparison, request.samples),
    };
  }
}

interface StreamEnds {
  readonly messages: number;
  readonly first_seq: number;
  readonly first_ts: string;
  readonly last_seq: number;
}

function startOf(state: StreamEnds, range: DiffRequest["range"]) {
  const notes: string[] = [];
  const begins = `the stream begins at ${state.first_seq} (${apiTime(state.first_ts) ?? "empty"})`;
  if ("last" in range) {
    const wanted = state.last_seq - range.last + 1;
    const sequence = Math.max(state.first_seq, wanted);
    if (state.messages === 0) notes.push("the stream holds no events");
    else if (wanted < state.first_seq) {
      const gone = state.first_seq - Math.max(1, wanted);
      notes.push(gone > 0 ? `${begins}: ${gone} of the events before it are gone` : begins);
    }
    return { start: { sequence }, notes };
  }
  const timeMs = Date.now() - range.sinceMs;
  if (state.messages === 0) notes.push("the stream holds no events");
  else if (state.first_seq > 1 && Date.parse(state.first_ts) > timeMs) {
    notes.push(`${begins}: what was before it is gone`);
  }
  return { start: { timeMs }, notes };
}

function shortOf(end: "aborted" | "stopped", events: number, request: DiffRequest): string {
  if (end === "stopped")
    return `${MOST_DIFF_EVENTS} events are the most of one diff: later ones were not looked at`;
  if (request.signal.aborted) return `it was given up after ${events} events`;
  return `the deadline of ${formatDurationMs(request.deadlineMs)} came after ${events} events: later ones were not looked at`;
}
