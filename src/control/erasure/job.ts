/** An erasure as it is kept: what it began as, how far it is, and what is told of it. */
import { createHash } from "node:crypto";
import { z } from "zod";
import {
  type EraseAnswer,
  ErasedCopy,
  type ErasureReport,
  ErasureState,
  PeerErasure,
} from "../../model/erasure.ts";
import type { HeldEvent } from "./site_copies.ts";

/** How far clocks of two sites may differ. */
export const CLOCK_SKEW_MS = 10 * 60_000;

/** An erasure as the state bucket keeps it. */
export const Job = z.object({
  id: z.string(),
  /** The peer that asked; `null`: it is ours. */
  by: z.string().nullable(),
  tenant: z.string(),
  origin: z.string(),
  subject: z.string(),
  at: z.string(),
  state: ErasureState,
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  /** How many events. */
  count: z.int(),
  /** SHA-256 of what the asker calls the events: what is done keeps no more of them. */
  hash: z.string(),
  /** What the asker calls the events. */
  asked: z.array(ErasedCopy),
  /** What they are here; a peer's are looked for at each pass. */
  events: z.array(z.object({ stream: z.string(), sequence: z.int(), ids: z.array(z.string()) })),
  erased: z.record(z.string(), z.int()),
  peers: z.array(PeerErasure),
  passes: z.int(),
  why: z.string().nullable(),
});
export type Job = z.infer<typeof Job>;

/** Who asks for an erasure, of what, and who is to be asked in turn. */
export interface NewJob extends Pick<Job, "id" | "by" | "tenant" | "origin" | "at" | "startedAt"> {
  /** Ours alone: what the asker named. */
  readonly subject?: string;
  /** Ours alone: they were found here. A peer's are looked for at each pass. */
  readonly events?: readonly HeldEvent[];
  /** A peer's alone: what it calls the events. */
  readonly asked?: readonly ErasedCopy[];
  readonly peers: readonly string[];
}

/** An erasure of which nothing is done yet. */
export function newJob({ subject = "", events = [], asked = [], peers, ...job }: NewJob): Job {
  return {
    ...job,
    subject,
    state: "pending",
    endedAt: null,
    count: events.length,
    hash: job.by === null ? "" : hashOf(asked),
    asked: [...asked],
    events: kept(events),
    erased: {},
    peers: peers.map((peer) => ({ peer, state: "pending", erased: {}, why: null, peers: [] })),
    passes: 0,
    why: null,
  };
}

/** Events as a job keeps them. */
export function kept(events: readonly HeldEvent[]): Job["events"] {
  return events.map(({ ids, ...event }) => ({ ...event, ids: [...ids] }));
}

/** SHA-256 of what an asker calls the events, hex: two askings of the same are one. */
export function hashOf(copies: readonly ErasedCopy[]): string {
  return createHash("sha256").update(JSON.stringify(copies)).digest("hex");
}

/** What was stored here later than that is not meant: a sequence may be another event's in a later life of a stream. */
export function untilOf(job: Job): Date {
  return new Date(Date.parse(job.at) + CLOCK_SKEW_MS);
}

/** Counts by stream, added up. */
export function sum(
  left: Readonly<Record<string, number>>,
  right: ReadonlyMap<string, number>,
): Record<string, number> {
  const all = new Map(Object.entries(left));
  for (const [name, count] of right) all.set(name, (all.get(name) ?? 0) + count);
  return Object.fromEntries(all);
}

/** What the peer that asked is told of it. */
export function answerOf({ id, state, erased, why, peers }: Job): EraseAnswer {
  return { id, state, erased, why, peers };
}

/** What is told of it over the API. */
export function reportOf(job: Job): ErasureReport {
  const { id, tenant, origin, subject, state, startedAt, endedAt, erased, peers, why, count } = job;
  return {
    id,
    tenant,
    origin,
    subject,
    dryRun: false,
    state,
    startedAt,
    endedAt,
    events: count,
    erased,
    peers,
    why,
  };
}
