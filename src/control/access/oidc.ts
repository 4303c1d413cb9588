/** Tokens that an OIDC issuer has signed: whose they are, and which role they give here. */
import { createHash } from "node:crypto";
import { decode, verify } from "hono/jwt";
import { z } from "zod";
import { LeafmeshError } from "../../model/errors.ts";
import { nameProblem } from "../../model/names.ts";
import type { Grant, Principal, Role } from "../../model/principal.ts";
import type { OidcSettings } from "../../model/schema/api.ts";
import type { SignedTokens } from "./authenticator.ts";
import { type IssuerKey, Jwks, type JwksOptions } from "./jwks.ts";

const SKEW_S = 60;
const MOST_KNOWN = 1000;
const SWEEP_MS = 500;
/** The first that a token gives is the principal's. */
const RANK: readonly Role[] = ["operator", "tenant-admin", "auditor", "viewer"];

const Header = z.object({ alg: z.string(), kid: z.string().min(1).max(512), typ: z.string().optional() });
const Claims = z.looseObject({
  sub: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^\p{Cc}]+$/u),
  iss: z.string(),
  exp: z.number(),
  nbf: z.number().optional(),
  iat: z.number().optional(),
});
type Claims = z.output<typeof Claims>;

interface Known {
  readonly principal: Principal;
  readonly key: IssuerKey;
  readonly expMs: number;
  readonly end: AbortController;
}

export interface OidcOptions {
  readonly settings: OidcSettings;
  readonly jwks: Pick<JwksOptions, "read" | "source">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class OidcTokens implements SignedTokens, Disposable {
  readonly #options: OidcOptions;
  readonly #jwks: Jwks;
  /** Tokens that were found to be good, by their hash; the one that was used last stands last. */
  readonly #known = new Map<string, Known>();
  readonly #sweep: ReturnType<typeof setInterval>;

  constructor(options: OidcOptions) {
    this.#options = options;
    this.#jwks = new Jwks({ ...options.jwks, now: options.now });
    this.#sweep = setInterval(() => this.#endExpired(), SWEEP_MS);
    this.#sweep.unref();
  }

  async authenticate(token: string): Promise<Grant> {
    const { header, claims } = read(token);
    const key = await this.#jwks.find(header.kid);
    if (key === null) throw refused(`its key '${header.kid.slice(0, 64)}' is none of the issuer's`);
    const hash = createHash("sha256").update(token).digest("base64");
    const before = this.#known.get(hash);
    // The issuer may have taken the key back, or given its id to another one.
    if (before !== undefined && before.key === key) {
      requireTime(claims, this.#options.now());
      return { principal: before.principal, signal: before.end.signal };
    }
    await this.#verify(token, header, key);
    requireTime(claims, this.#options.now());
    const principal = principalOf(claims, this.#options.settings);
    const end = before?.end ?? new AbortController();
    const known: Known = { principal, key, expMs: (claims.exp + SKEW_S) * 1000, end };
    this.#known.delete(hash);
    this.#known.set(hash, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    return { principal, signal: known.end.signal };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweep);
    for (const { end } of this.#known.values()) end.abort();
  }

  /** @throws {LeafmeshError} `unauthorized` */
  async #verify(token: string, header: z.output<typeof Header>, key: IssuerKey): Promise<void> {
    const { issuer, audience } = this.#options.settings;
    const alg = key.algorithms.find((name) => name === header.alg);
    if (alg === undefined) throw refused(`'${header.alg.slice(0, 16)}' is no signature of its key`);
    try {
      // Times are held to with a skew, by ourselves.
      const checks = { alg, iss: issuer, aud: audience, exp: false, nbf: false, iat: false };
      await verify(token, key.jwk, header.typ === undefined ? checks : { ...checks, typ: ["JWT", "at+jwt"] });
    } catch (error) {
      throw refused(
        REASONS[error instanceof Error ? error.name : ""] ?? "its signature does not hold",
        error,
      );
    }
  }

  #endExpired(): void {
    const now = this.#options.now();
    for (const [hash, { expMs, end }] of this.#known) {
      if (expMs > now) continue;
      end.abort();
      this.#known.delete(hash);
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  JwtTokenIssuer: "it is another issuer's",
  JwtTokenAudience: "it is for another audience",
  JwtPayloadRequiresAud: "it is for no audience",
  JwtHeaderInvalid: "its header is of a type that is not taken",
};

function refused(why: string, cause?: unknown): LeafmeshError {
  return new LeafmeshError(
    "unauthorized",
    `The OIDC token is refused: ${why}`,
    cause === undefined ? {} : { cause },
  );
}

/** What a token says of itself, before anything of it is believed. */
function read(token: string): { readonly header: z.output<typeof Header>; readonly claims: Claims } {
  let parts: { header: unknown; payload: unknown };
  try {
    parts = decode(token);
  } catch (error) {
    throw refused("it is no JWT", error);
  }
  const header = Header.safeParse(parts.header);
  if (!header.success) throw refused("its header has no 'alg' and 'kid'");
  const claims = Claims.safeParse(parts.payload);
  if (!claims.success) throw refused("it needs 'iss', 'sub' and 'exp'; 'nbf' and 'iat' are numbers");
  return { header: header.data, claims: claims.data };
}

function requireTime({ exp, nbf, iat }: Claims, nowMs: number): void {
  const now = nowMs / 1000;
  if (!(exp + SKEW_S > now)) throw refused("it has expired");
  if (nbf !== undefined && !(nbf - SKEW_S <= now)) throw refused("it is not valid yet ('nbf')");
  if (iat !== undefined && !(iat - SKEW_S <= now)) throw refused("it is from the future ('iat')");
}

/** @throws {LeafmeshError} `unauthorized` for who has no role here */
function principalOf(claims: Claims, settings: OidcSettings): Principal {
  const { roles, roleClaim = "roles", tenantClaim = "tenant" } = settings;
  const given = textsAt(claims, roleClaim);
  const role = RANK.find((one) => roles[one]?.some((value) => given.includes(value)) === true);
  const { sub: name } = claims;
  if (role === undefined) throw refused(`its claim '${roleClaim}' gives no role here`);
  if (role !== "tenant-admin") return { name, type: "oidc", role };
  const [tenant, ...more] = textsAt(claims, tenantClaim);
  if (tenant === undefined || more.length > 0 || nameProblem(tenant) !== null) {
    throw refused(`its claim '${tenantClaim}' names no tenant`);
  }
  return { name, type: "oidc", role, tenant };
}

/** The texts of a claim, one or a list; a `.` goes into an object where no claim has the whole name. */
function textsAt(claims: object, path: string): readonly string[] {
  const found =
    memberOf(claims, path) ?? path.split(".").reduce<unknown>((value, name) => memberOf(value, name), claims);
  return (Array.isArray(found) ? found : [found]).filter((one) => typeof one === "string");
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}
