/** What the API is built from. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { TokenRequest } from "../src/control/access/token_store.ts";
import type { Control } from "../src/control/api.ts";
import type { Grant, Principal, TokenInfo } from "../src/model/principal.ts";
import type { ApiLimits } from "./limits/gate.ts";

/** Where the API tells what it did: one call a line. Never a token, never a body. */
export interface ApiLog {
  info(message: string, fields: Readonly<Record<string, string | number | boolean>>): void;
  warn(message: string, fields: Readonly<Record<string, string | number | boolean>>): void;
  error(message: string, fields: Readonly<Record<string, string | number | boolean>>): void;
}

export interface ApiOptions {
  readonly control: Control;
  /**
   * What a token stands for; `null` when nobody knows it. Compares in constant time.
   * @throws LeafmeshError `unauthorized` where there is a reason to tell, `issuer_unreachable`
   */
  readonly authenticate: (candidate: string) => Promise<Grant | null>;
  readonly tokens: ApiTokens;
  /** Version of Leafmesh, for the documents. */
  readonly version: string;
  readonly log: ApiLog;
  /** Whether `/metrics` answers without a token; default false. */
  readonly openMetrics?: boolean;
  /** Whether a request may name this host, without its port; default: any. Keeps pages of others off a loopback address. */
  readonly knowsHost?: (host: string) => boolean;
  /** Whether it is served by TLS; default false. */
  readonly tls?: boolean;
  readonly limits?: ApiLimits;
}

/** The tokens of the API. */
export interface ApiTokens {
  list(): readonly TokenInfo[];
  /** @throws LeafmeshError `conflict` */
  add(request: TokenRequest): Promise<{ readonly token: string; readonly info: TokenInfo }>;
  /** @throws LeafmeshError `not_found` */
  revoke(id: string): Promise<TokenInfo>;
  /** Puts another bootstrap token in the place of the one that is there. @throws LeafmeshError `conflict` */
  rotateBootstrap(): Promise<string>;
}

/** What goes with a request: who asks, and from where. */
export interface ApiEnv {
  Variables: {
    /** Who asks. Absent where no token is wanted, and where it was refused. */
    principal?: Principal;
    /** Id of the operation that is asked for; absent where there is none. */
    operation?: string;
    /** It was refused for who asks, also where the answer says that there is nothing. */
    denied?: boolean;
    /** The whole body was read. */
    bodyRead?: boolean;
  };
  Bindings: {
    /** Address of the client, without its port; absent in tests without a port. */
    address?: string;
  };
}

export type Api = OpenAPIHono<ApiEnv>;
