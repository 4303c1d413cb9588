/**
 * What two sites tell each other about the flow between them. Nothing flows on one side's word: an exporter offers what
 * its policy allows, an importer says what it accepts, and a route is what both say.
 */
import { z } from "zod";
import { Name, Pattern } from "../model/schema/scalars.ts";

/** One import of the peer: what it accepts of us. */
export const Accepted = z.strictObject({
  tenant: Name,
  origin: Name,
  subjects: z.array(Pattern),
  mirror: z.boolean(),
  /** It takes replays of this route, too. */
  replay: z.literal(true).optional(),
});
export type Accepted = z.infer<typeof Accepted>;

/** One route that a peer offers us: the stream that holds what we may have. */
export const Offer = z.strictObject({
  tenant: Name,
  origin: Name,
  policy: Name,
  /** `replay`: not the route itself but events of it again, in a stream of their own. */
  kind: z.enum(["native", "view", "replay"]),
  stream: z.string().regex(/^[a-z0-9_-]{1,120}$/),
  subjects: z.array(Pattern),
});
export type Offer = z.infer<typeof Offer>;

/** What this site knows of a peer now. `null`: the peer has not said it yet. */
export interface PeerKnowledge {
  /** Whether the peer proved that it holds its key. */
  readonly verified: "yes" | "no" | "unknown";
  readonly accepted: readonly Accepted[] | null;
  readonly offered: readonly Offer[] | null;
}

export const UNKNOWN_PEER: PeerKnowledge = { verified: "unknown", accepted: null, offered: null };

export type Peers = ReadonlyMap<string, PeerKnowledge>;
