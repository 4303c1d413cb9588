/** Tokens of the API as requests and answers have them. */
import { z } from "@hono/zod-openapi";
import { ROLES, type TokenInfo } from "../../src/model/principal.ts";
import { duration, Name } from "../../src/model/schema/scalars.ts";

/** A token cannot be made for longer. */
export const MOST_DAYS = 366;
export const DEFAULT_EXPIRY = "90d";

const RoleName = z.enum(ROLES).meta({ description: "See docs/api-access.md", example: "viewer" });

export const TokenBody = z
  .strictObject({
    name: Name.meta({ description: "No two tokens have the same", example: "ci" }),
    role: RoleName,
    tenant: Name.optional().meta({ description: "The one tenant of a tenant-admin; of no other role" }),
    expires: duration({ minMs: 1000, maxMs: MOST_DAYS * 86_400_000 })
      .optional()
      .meta({ description: `In how long; default ${DEFAULT_EXPIRY}, at most ${MOST_DAYS}d` }),
  })
  .superRefine(({ role, tenant }, context) => {
    const needed = role === "tenant-admin";
    if (needed === (tenant !== undefined)) return;
    const message = needed
      ? "a tenant-admin needs its tenant"
      : `a token of role ${role} has no tenant: it is of the site`;
    context.addIssue({ code: "custom", path: ["tenant"], message });
  })
  .meta({ id: "TokenBody" });

export const Token: z.ZodType<TokenInfo> = z
  .object({
    id: z.string().meta({ example: "3f9a0c5d17e2" }),
    name: z.string(),
    role: RoleName,
    tenant: z.string().nullable(),
    createdAt: z.string(),
    createdBy: z.string(),
    expiresAt: z.string(),
    lastUsed: z.string().nullable().meta({ description: "To within an hour; null: never" }),
  })
  .meta({ id: "Token", description: "A token of the API, without the token itself" });

export const MadeToken = z
  .object({ token: z.string().meta({ description: "Shown here and never again" }), info: Token })
  .meta({ id: "MadeToken" });

export const Whoami = z
  .object({
    name: z.string(),
    type: z.enum(["token", "oidc", "bootstrap"]),
    role: RoleName,
    tenant: z.string().nullable(),
  })
  .meta({ id: "Whoami" });
