/** Who a token stands for: the bootstrap token, one of the state, or one that an OIDC issuer has signed. */
import type { Grant } from "../../model/principal.ts";
import type { BootstrapToken } from "./bootstrap.ts";
import type { TokenStore } from "./token_store.ts";

/** Checks the tokens of an issuer. */
export interface SignedTokens {
  /** @throws {LeafmeshError} `unauthorized` with the reason, `issuer_unreachable` when its keys cannot be read */
  authenticate(candidate: string): Promise<Grant>;
}

/** Checks a token by the place that it comes from, which its form tells. */
export class Authenticator {
  readonly #bootstrap: BootstrapToken;
  readonly #tokens: TokenStore;
  readonly #signed: SignedTokens | null;

  constructor(bootstrap: BootstrapToken, tokens: TokenStore, signed: SignedTokens | null) {
    this.#bootstrap = bootstrap;
    this.#tokens = tokens;
    this.#signed = signed;
  }

  /**
   * What a token stands for; `null` when nobody knows it.
   * @throws {LeafmeshError} `unauthorized` with the reason where there is one to tell, `issuer_unreachable`
   */
  async authenticate(candidate: string): Promise<Grant | null> {
    const own = this.#bootstrap.authenticate(candidate) ?? this.#tokens.authenticate(candidate);
    if (own !== null || this.#signed === null || !isSigned(candidate)) return own;
    return await this.#signed.authenticate(candidate);
  }
}

/** A JWS in its compact form (RFC 7515). */
function isSigned(candidate: string): boolean {
  return /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(candidate);
}
