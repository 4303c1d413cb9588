/** What the API is built from. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Control } from "../src/control/api.ts";
import type { Principal } from "../src/model/principal.ts";

/** Where the API tells what it did: one call a line. Never a token, never a body. */
export interface ApiLog {
  info(message: string, fields: Readonly<Record<string, string | number | boolean>>): void;
  warn(message: string, fields: Readonly<Record<string, string | number | boolean>>): void;
  error(message: string, fields: Readonly<Record<string, string | number | boolean>>): void;
}

export interface ApiOptions {
  readonly control: Control;
  /** Whether `candidate` is the admin token; compares in constant time. */
  readonly token: (candidate: string) => boolean;
  /** Version of Leafmesh, for the documents. */
  readonly version: string;
  readonly log: ApiLog;
  /** Whether `/metrics` answers without a token; default false. */
  readonly openMetrics?: boolean;
}

/** What goes with a request: who asks, and from where. */
export interface ApiEnv {
  Variables: {
    /** Who asks. Absent where no token is wanted, and where it was refused. */
    principal?: Principal;
  };
  Bindings: {
    /** Address of the client, without its port; absent in tests without a port. */
    address?: string;
  };
}

export type Api = OpenAPIHono<ApiEnv>;
