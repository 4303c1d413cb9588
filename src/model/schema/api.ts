/** The API as the site file sets it up: where it listens, by what certificate, and who may call it. */
import { z } from "zod";
import { Address } from "./scalars.ts";

const values = z.array(z.string().min(1)).min(1).optional();

export const OidcSettings = z
  .strictObject({
    issuer: z
      .string()
      .regex(/^https?:\/\/[^\s@?#]+$/, {
        error: "this is no issuer (expected for example https://id.example.net)",
      })
      .meta({ description: "What `iss` must be, to the letter" }),
    audience: z.string().min(1).meta({ description: "What `aud` must be, or hold" }),
    jwks: z.string().min(1).optional().meta({
      description: "URL or file of the issuer's keys; default: where its discovery document says",
    }),
    roleClaim: z.string().min(1).optional().meta({ description: "Claim with roles; default roles" }),
    tenantClaim: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Claim with the tenant of a tenant-admin; default tenant" }),
    roles: z
      .strictObject({ operator: values, "tenant-admin": values, viewer: values, auditor: values })
      .refine((roles) => Object.values(roles).some((one) => one !== undefined), {
        message: "names no role (expected at least one of operator, tenant-admin, viewer, auditor)",
      })
      .meta({ description: "For each role the values of the claim that give it" }),
  })
  .meta({ id: "OidcSettings" });
export type OidcSettings = z.infer<typeof OidcSettings>;

export const ApiSettings = z
  .strictObject({
    listen: Address.optional().meta({
      description: "Default 127.0.0.1:7480; another one than loopback wants `tls`",
    }),
    tls: z
      .union([
        z.literal("self"),
        z
          .strictObject({ cert: z.string().min(1), key: z.string().min(1) })
          .meta({ description: "PEM files" }),
      ])
      .optional()
      .meta({
        description:
          "self: a certificate of the site's own CA (keys/ca.pem); or the files of one. Default: in clear",
      }),
    oidc: OidcSettings.optional().meta({ description: "Takes the tokens of an OIDC issuer, too" }),
    hosts: z
      .array(
        z.string().regex(/^[a-z0-9.-]{1,253}$/, {
          error: "this is no host name (expected for example api.example.net)",
        }),
      )
      .max(32)
      .optional()
      .meta({ description: "Names under which the API is reached, beside its address and localhost" }),
    token: z
      .union([
        z.strictObject({ file: z.string().min(1) }),
        z.strictObject({ env: z.string().min(1) }),
        z.literal("off"),
      ])
      .optional()
      .meta({
        description:
          "Where the bootstrap token, an operator's, is read from; default: made on first start, kept in the data folder; off: there is none",
      }),
  })
  .meta({ id: "ApiSettings" });
