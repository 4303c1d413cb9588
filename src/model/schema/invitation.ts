/** Documents of the state about who may become a peer: invitations, and keys that may not come back. */
import { z } from "zod";
import { InvitationId, Name, PublicKey } from "./scalars.ts";
import { Peer, type PeerDocument } from "./site.ts";

const Time = z.iso.datetime();

/** What became of an invitation. */
export const InvitationState = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("open") }),
  /** A site has shown it; the peer is made, and the invitation stays until the site has said that it has made us one. */
  z.strictObject({
    type: z.literal("claimed"),
    at: Time,
    peer: Peer,
    /** Not written any more: the peer's document names the invitation. */
    made: z.int().optional(),
  }),
  z.strictObject({ type: z.literal("used"), at: Time, key: PublicKey }),
  z.strictObject({ type: z.literal("expired"), at: Time }),
  z.strictObject({ type: z.literal("revoked"), at: Time }),
]);
export type InvitationState = z.infer<typeof InvitationState>;

/** An invitation as the inviting site keeps it: nothing in it lets anybody in. */
export const InvitationDocument = z.strictObject({
  id: InvitationId,
  /** The site that is invited. */
  site: Name,
  /** Public half of the key that the token logs in with. */
  key: PublicKey,
  /** Where the invited site finds us. */
  address: z.string(),
  createdAt: Time,
  /** Who made it, where that is known. */
  by: z.string().optional(),
  expires: Time,
  state: InvitationState,
});
export type InvitationDocument = z.infer<typeof InvitationDocument>;

/** Whether it still lets somebody ask to join. */
export function isOpen({ state }: InvitationDocument): boolean {
  return state.type === "open" || state.type === "claimed";
}

/** Whether a peer that an invitation has made is one: its join is under way, or done. */
export function letsIn({ state }: InvitationDocument): boolean {
  return state.type === "claimed" || state.type === "used";
}

/**
 * Whether a peer's document is left of an invitation that has ended, or is unknown: it lets nobody in.
 * @param invitation the one that the peer names
 */
export function isLeftOver({ invited }: PeerDocument, invitation: InvitationDocument | undefined): boolean {
  return invited !== undefined && (invitation === undefined || !letsIn(invitation));
}

/** A site key that must not be a peer's any more. */
export const RevocationDocument = z.strictObject({
  key: PublicKey,
  peer: Name,
  at: Time,
  by: z.string().optional(),
});
export type RevocationDocument = z.infer<typeof RevocationDocument>;
