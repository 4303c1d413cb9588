/** The public keys of an OIDC issuer (RFC 7517): read when they are needed, bounded, and given up when they get too old. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { errorText, LeafmeshError } from "../../model/errors.ts";

const FRESH_MS = 600_000;
/** How long keys serve that cannot be read again. */
const STALE_MS = 3_600_000;
/** Between two readings for a key id that is not known. */
const UNKNOWN_MS = 30_000;
/** Between two readings while there are none. */
const RETRY_MS = 2000;
const READ_TIMEOUT_MS = 5000;
const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 64;
/** Base64url of 2048 bits. */
const LEAST_MODULUS = 342;

const text = z.string().max(4096);
const Key = z.union([
  z.object({ kty: z.literal("RSA"), n: text.min(LEAST_MODULUS), e: text }),
  z.object({ kty: z.literal("EC"), crv: z.enum(["P-256", "P-384", "P-521"]), x: text, y: text }),
  z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: text }),
]);
const KeyUse = z.object({
  kid: z.string().min(1).max(512),
  alg: z.string().optional(),
  use: z.literal("sig").optional(),
  key_ops: z.array(z.string()).optional(),
  d: z.never().optional(),
});

/** Signatures that an issuer's keys can have made; none that knows only a shared secret. */
export type SigningAlgorithm = `${"RS" | "PS"}${256 | 384 | 512}` | "ES256" | "ES384" | "ES512" | "EdDSA";

/** A public key with the signatures that it checks. */
export interface IssuerKey {
  readonly kid: string;
  readonly algorithms: readonly SigningAlgorithm[];
  readonly jwk: z.output<typeof Key>;
}

export interface JwksOptions {
  /** Text of the key set. @throws anything */
  readonly read: () => Promise<string>;
  /** In messages, for example the URL. */
  readonly source: string;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

export class Jwks {
  readonly #options: JwksOptions;
  #keys: readonly IssuerKey[] | null = null;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | null = null;
  #failure = "they were not read yet";

  constructor(options: JwksOptions) {
    this.#options = options;
  }

  /**
   * The key of an id; `null` when the issuer has none.
   * @throws {LeafmeshError} `issuer_unreachable` when there are no keys that can be believed
   */
  async find(kid: string): Promise<IssuerKey | null> {
    const now = this.#options.now();
    const idle = now - this.#triedAt;
    const fresh = this.#keys !== null && now - this.#loadedAt < FRESH_MS;
    if (!fresh && idle >= (this.#keys === null ? RETRY_MS : UNKNOWN_MS)) await this.#load();
    else if (fresh && this.#named(kid) === null && idle >= UNKNOWN_MS) await this.#load();
    // Somebody else's reading is as good.
    else if (this.#loading !== null) await this.#loading;
    if (this.#keys === null || this.#options.now() - this.#loadedAt > FRESH_MS + STALE_MS) {
      throw new LeafmeshError(
        "issuer_unreachable",
        `The issuer's keys cannot be read from ${this.#options.source}: ${this.#failure}`,
      );
    }
    return this.#named(kid);
  }

  #named(kid: string): IssuerKey | null {
    return this.#keys?.find((key) => key.kid === kid) ?? null;
  }

  async #load(): Promise<void> {
    this.#loading ??= (async () => {
      this.#triedAt = this.#options.now();
      try {
        this.#keys = parseKeys(await this.#options.read());
        this.#loadedAt = this.#options.now();
      } catch (error) {
        this.#failure = errorText(error);
      } finally {
        this.#loading = null;
      }
    })();
    await this.#loading;
  }
}

/** The keys of a set that can check signatures; others are passed over, as RFC 7517 wants. */
export function parseKeys(json: string): IssuerKey[] {
  const set = z.object({ keys: z.array(z.unknown()).max(MAX_KEYS) }).safeParse(JSON.parse(json));
  if (!set.success) throw new Error(`no JSON Web Key Set (expected 'keys', a list of at most ${MAX_KEYS})`);
  return set.data.keys.flatMap((one) => {
    const [key, use] = [Key.safeParse(one), KeyUse.safeParse(one)];
    if (!key.success || !use.success) return [];
    const { kid, alg, key_ops: ops } = use.data;
    if (ops !== undefined && !ops.includes("verify")) return [];
    const algorithms = algorithmsOf(key.data).filter((name) => alg === undefined || alg === name);
    return algorithms.length === 0 ? [] : [{ kid, algorithms, jwk: key.data }];
  });
}

function algorithmsOf(key: z.output<typeof Key>): SigningAlgorithm[] {
  switch (key.kty) {
    case "RSA":
      return ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    case "EC":
      return [({ "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" } as const)[key.crv]];
    case "OKP":
      return ["EdDSA"];
  }
}

/** Reads the key set of an issuer: from a file, a URL, or where its discovery document says. */
export function jwksReader(
  issuer: string,
  jwks: string | undefined,
): { read: () => Promise<string>; source: string } {
  if (jwks !== undefined && !/^https?:/i.test(jwks)) {
    return { source: jwks, read: () => readFile(jwks, "utf8") };
  }
  if (jwks !== undefined) return { source: jwks, read: () => get(jwks) };
  const discovery = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const Discovery = z.object({ issuer: z.literal(issuer), jwks_uri: z.string() });
  return {
    source: discovery,
    read: async () => {
      const found = Discovery.safeParse(JSON.parse(await get(discovery)));
      if (!found.success) throw new Error(`${discovery} does not say 'issuer' (${issuer}) and 'jwks_uri'`);
      return await get(found.data.jwks_uri);
    },
  };
}

/** Whether keys from there can be believed: nobody on the way can have put in others. */
export function isTrustedUrl(url: string): boolean {
  const parsed = URL.parse(url);
  if (parsed === null) return false;
  if (parsed.protocol === "https:") return true;
  return parsed.protocol === "http:" && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(parsed.hostname);
}

async function get(url: string): Promise<string> {
  if (!isTrustedUrl(url)) throw new Error(`${url} is not https`);
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
  if (!response.ok || response.body === null) throw new Error(`${url} answers ${response.status}`);
  const decoder = new TextDecoder();
  let found = "";
  for await (const chunk of response.body) {
    found += decoder.decode(chunk, { stream: true });
    if (found.length > MAX_BYTES) throw new Error(`${url} answers more than ${MAX_BYTES} bytes`);
  }
  return found;
}
