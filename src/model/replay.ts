/** Replays: what is asked for, how far one is, and what the state bucket keeps of it. */
import { z } from "zod";
import { Name, Pattern } from "./schema/scalars.ts";
import { patternProblem } from "./subject.ts";

/** Events a second, at most: those that are written, not those that are looked at. */
export const DEFAULT_REPLAY_RATE = 500;
export const MOST_REPLAY_RATE = 10_000;
/** Replays of a site that are not done; more are refused. */
export const MOST_REPLAYS = 32;

/** Where a replay goes: to a peer as its policy lets it see the events, or to the site's own subscribers. */
export const ReplayTarget = z.discriminatedUnion("type", [
  z.object({ type: z.literal("peer"), peer: Name, policy: Name }),
  z.object({ type: z.literal("local"), name: Name }),
]);
export type ReplayTarget = z.infer<typeof ReplayTarget>;

/** A place in a stream: a sequence, or a time in RFC 3339. */
export const ReplayPlace = z.union([z.int().positive(), z.iso.datetime({ offset: true })]);
export type ReplayPlace = z.infer<typeof ReplayPlace>;

/** `waiting`: it could go on but for what `why` says. `sent`: all is decided, and the peer has not taken all yet. */
export const REPLAY_STATES = ["running", "waiting", "paused", "sent", "done", "canceled", "failed"] as const;
export const ReplayState = z.enum(REPLAY_STATES);
export type ReplayState = z.infer<typeof ReplayState>;

/** One event that was not forwarded. */
export const ReplaySample = z.object({
  sequence: z.int(),
  subject: z.string(),
  outcome: z.enum(["drop", "quarantine"]),
  reason: z.string(),
  error: z.string().nullable(),
});
export type ReplaySample = z.infer<typeof ReplaySample>;

/** A replay as the state bucket keeps it. */
export const Replay = z.object({
  id: z.string(),
  tenant: z.string(),
  target: ReplayTarget,
  /** The site whose events they are. */
  origin: z.string(),
  /** First sequence that is looked at. */
  from: z.int(),
  /** Last sequence that is looked at: what there was when it began, at most. */
  until: z.int(),
  subjects: z.array(z.string()).nullable(),
  rate: z.int(),
  dryRun: z.boolean(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  /** What was asked for last. */
  wanted: z.enum(["run", "pause", "cancel"]),
  state: ReplayState,
  /** What it waits for, or why it has failed. */
  why: z.string().nullable(),
  /** The stream that it reads, and the life of that stream that its sequences are of. */
  stream: z.string(),
  epoch: z.string(),
  /** Sequence up to which all is decided and stored. */
  position: z.int(),
  /** Events of the range that retention or an erasure had taken before it began: an upper bound. */
  missing: z.int(),
  looked: z.int(),
  forwarded: z.int(),
  dropped: z.int(),
  quarantined: z.int(),
  samples: z.array(ReplaySample),
});
export type Replay = z.infer<typeof Replay>;

/** How a replay stands, as the API says it. */
export type ReplayReport = Omit<Replay, "wanted" | "epoch">;

/** What is counted of a replay. */
export interface ReplayNumbers
  extends Pick<Replay, "id" | "tenant" | "state" | "forwarded" | "dropped" | "quarantined"> {
  /** The peer, or `local <name>`. */
  readonly to: string;
  /** Events of the range that are not looked at yet, an upper bound, and those that the peer has not taken yet. */
  readonly remaining: number;
}

/** What is asked for. */
export interface ReplayRequest {
  readonly to: { readonly peer: string; readonly policy?: string } | { readonly local: string | null };
  readonly origin?: string;
  readonly from?: ReplayPlace;
  readonly until?: ReplayPlace;
  readonly subjects?: readonly string[];
  readonly rate: number;
  readonly dryRun: boolean;
}

/** Whether a replay has ended for good. */
export function hasEnded({ state }: Pick<Replay, "state">): boolean {
  return state === "done" || state === "canceled" || state === "failed";
}

/** Subjects of a replay of that tenant. */
export const ReplaySubjects = z.array(Pattern).min(1).max(64);

/** Why a pattern cannot be a replay's of that tenant; `null` when it can. */
export function replaySubjectProblem(tenant: string, subject: string): string | null {
  return (
    patternProblem(subject) ??
    (subject.startsWith(`${tenant}.`) ? null : `is no subject of tenant '${tenant}'`)
  );
}
