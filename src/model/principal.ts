/** Who asks the API: what every answer, every denial and every line of the audit trail can say of it. */

/** What somebody may do, see the table in `routes/authorization.ts`. */
export const ROLES = ["operator", "tenant-admin", "viewer", "auditor"] as const;
export type Role = (typeof ROLES)[number];

/** How the principal has proved itself: with a token of the state, an OIDC token, or the one of `keys/api.token`. */
export type PrincipalType = "token" | "oidc" | "bootstrap";

/** Who asks. Holds no secret. */
export interface Principal {
  /** For people and the audit trail: the token's name, or what the issuer calls the subject. */
  readonly name: string;
  readonly type: PrincipalType;
  readonly role: Role;
  /** Only, and always, of a `tenant-admin`: the one tenant that exists for it. */
  readonly tenant?: string;
}

/** The one of `keys/api.token`, who may do all. */
export const BOOTSTRAP: Principal = { name: "bootstrap", type: "bootstrap", role: "operator" };

/** What a token stands for, as long as it holds. */
export interface Grant {
  readonly principal: Principal;
  /** Aborted at once when the token is revoked or has expired: what is open for it ends. */
  readonly signal: AbortSignal;
}

/** A token of the API as it is listed: all but the token itself. Times are RFC 3339. */
export interface TokenInfo {
  /** Stands in the token, and names it in the API. */
  readonly id: string;
  /** No two tokens have the same. */
  readonly name: string;
  readonly role: Role;
  readonly tenant: string | null;
  readonly createdAt: string;
  /** Name of the principal that has made it. */
  readonly createdBy: string;
  readonly expiresAt: string;
  /** To within an hour; `null`: never. */
  readonly lastUsed: string | null;
}
