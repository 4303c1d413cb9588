/** Invitations, joins and revocations as schemas. The types are those of src/control/join_api.ts. */
import { z } from "@hono/zod-openapi";
import type * as report from "../../src/control/join_api.ts";
import { Address, duration, Name } from "../../src/model/schema/scalars.ts";

const invitation = {
  id: z.string().meta({ example: "9f86d081884c7d65" }),
  site: z.string().meta({ description: "The site that is invited", example: "tokyo" }),
  address: z.string().meta({ description: "Where it finds this site" }),
  createdAt: z.string(),
  expires: z.string(),
  by: z.string().nullable().meta({ description: "Who made it" }),
  state: z
    .enum(["open", "joining", "used", "expired", "revoked"])
    .meta({ description: "joining: shown by a site, not finished at both ends yet" }),
  since: z.string().meta({ description: "When the state began, RFC 3339" }),
  usedBy: z.string().nullable().meta({ description: "Site key that has used it" }),
};

export const Invitation: z.ZodType<report.InvitationReport> = z.object(invitation).meta({ id: "Invitation" });

export const Invited: z.ZodType<report.Invited> = z
  .object({
    ...invitation,
    token: z.string().meta({ description: "For the invited site's operator: secret, and shown this once" }),
  })
  .meta({ id: "NewInvitation" });

export const InviteBody = z
  .strictObject({
    site: Name.meta({ example: "tokyo" }),
    expires: duration({ minMs: 1000, maxMs: 24 * 3600_000 })
      .optional()
      .meta({ description: "How long it is good; default 15m, at most 24h", example: "15m" }),
    address: Address.optional().meta({ description: "Where the site finds us; default: server.advertise" }),
  })
  .meta({ id: "InviteBody" });

const preview = {
  site: z.string().meta({ description: "The inviting site" }),
  address: z.string(),
  key: z.string().meta({ description: "Its site key" }),
  caFingerprint: z.string().nullable().meta({
    description: "SHA-256 of its CA's public key, of two while it rotates; null where links are plain",
  }),
  expires: z.string(),
  dials: z.enum(["this site", "the inviting site"]),
  known: z.boolean().meta({ description: "It is a peer already, with this key" }),
};

/** A join, or what one would be: then nothing is known of the link. */
export interface JoinDocument extends report.JoinPreview {
  readonly linked: boolean | null;
  readonly linkedMs: number | null;
}

export const JoinReport: z.ZodType<JoinDocument> = z
  .object({
    ...preview,
    linked: z
      .boolean()
      .nullable()
      .meta({ description: "The link is up, and the other side proved its key; null in a preview" }),
    linkedMs: z.int().nullable().meta({ description: "From the inviting site's answer until then" }),
  })
  .meta({ id: "Join", description: "What is trusted; after a join also whether the link is up" });

export const JoinBody = z
  .strictObject({
    token: z.string().min(1).max(20_000).meta({ description: "What 'leafmesh peer invite' has printed" }),
    preview: z.boolean().optional().meta({ description: "Only show what would be trusted" }),
    dialBack: Address.optional().meta({
      description: "Where the inviting site is to dial this one; without it, this one dials",
    }),
  })
  .meta({ id: "JoinBody" });

export const RevokeReport: z.ZodType<report.RevokeReport> = z
  .object({
    peer: z.string(),
    key: z.string(),
    at: z.string(),
    cut: z.int().meta({ description: "Leaf connections that were cut" }),
    cutMs: z.int().meta({ description: "Until the server had none any more" }),
    gone: z.boolean().meta({ description: "The server has no connection of it now" }),
    invitations: z.int().meta({ description: "Open invitations of that site that were closed" }),
  })
  .meta({ id: "Revocation" });
