/** Erasures: which events, and what has become of their copies here and at the peers. */
import { z } from "zod";
import { Name } from "./schema/scalars.ts";

/** Events of one erasure, at most. */
export const MOST_ERASED = 1000;

const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const Sequence = z.int().positive();

/**
 * One event, by the stream that a site holds it in: by its sequence there or, in a view, by its position. What was a dead letter is
 * found by the hash of its id: it has the position of another event.
 */
export const ErasedCopy = z.strictObject({
  stream: z.string().regex(/^[a-z0-9_-]{1,120}$/),
  by: z.enum(["sequence", "position"]),
  sequence: Sequence,
  /** SHA-256 of the ids that it may have. */
  ids: z.array(Hash).max(4),
});
export type ErasedCopy = z.infer<typeof ErasedCopy>;

/** What a peer is asked: to erase what it has from these streams of the asker. */
export const EraseBody = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]{1,64}$/),
  tenant: Name,
  origin: Name,
  copies: z.array(ErasedCopy).max(MOST_ERASED * 4),
  /** When it was asked for: nothing that is stored long after is meant. */
  at: z.iso.datetime(),
  dryRun: z.boolean(),
});
export type EraseBody = z.infer<typeof EraseBody>;

/** How an erasure stands at a site. */
export const ErasureState = z.enum(["pending", "done", "refused"]);
export type ErasureState = z.infer<typeof ErasureState>;

export interface PeerErasure {
  readonly peer: string;
  readonly state: ErasureState;
  /** What its answer says it erased, by stream, with what its own peers did. */
  readonly erased: Readonly<Record<string, number>>;
  readonly why: string | null;
  readonly peers: readonly PeerErasure[];
}
export const PeerErasure: z.ZodType<PeerErasure> = z.lazy(() =>
  z.strictObject({
    peer: Name,
    state: ErasureState,
    erased: z.record(z.string().max(128), z.int().nonnegative()),
    why: z.string().max(2048).nullable(),
    peers: z.array(PeerErasure).max(256),
  }),
);

/** What a site says of an erasure that a peer has asked for. */
export const EraseAnswer = z.strictObject({
  id: z.string(),
  state: ErasureState,
  erased: z.record(z.string().max(128), z.int().nonnegative()),
  why: z.string().nullable(),
  peers: z.array(PeerErasure),
});
export type EraseAnswer = z.infer<typeof EraseAnswer>;

/** An erasure as the API tells it. */
export interface ErasureReport {
  readonly id: string;
  readonly tenant: string;
  readonly origin: string;
  readonly subject: string;
  readonly dryRun: boolean;
  readonly state: ErasureState;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly events: number;
  /** Copies that were, or of a dry run would be, erased here, by stream. */
  readonly erased: Readonly<Record<string, number>>;
  readonly peers: readonly PeerErasure[];
  /** What keeps it from being done; `null` when nothing does. */
  readonly why: string | null;
}

/** Which events: of a subject, all that is given must hold. */
export interface ErasureRequest {
  readonly subject: string;
  /** Default: this site. */
  readonly origin?: string;
  readonly id?: string;
  readonly sequence?: number;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly dryRun: boolean;
}
