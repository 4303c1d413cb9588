/** What the API is built from. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Control } from "../src/control/api.ts";

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

export type Api = OpenAPIHono;
