/** What goes through the API is told to the audit trail: changes before they are made, refusals when they are answered. */
import { createHash } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { LeafmeshError } from "../src/model/errors.ts";
import type { ApiEnv, ApiOptions } from "./options.ts";

/** POSTs that change nothing. */
const ASKS = /\/(?:explain|lint|diff|check)$/;
/** They take away what somebody may do: that never waits for the trail. */
const CUTS: ReadonlySet<string> = new Set(["revokePeer", "deleteInvitation", "deleteToken"]);
const DENIED = new Set([401, 403, 429]);
const MAX_TARGET = 512;

const isChange = (method: string, path: string): boolean =>
  method !== "GET" && method !== "HEAD" && method !== "OPTIONS" && !(method === "POST" && ASKS.test(path));

/** Tells refusals. Stands in front of what refuses. */
export function tellDenials({ control }: ApiOptions): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    await next();
    if (!DENIED.has(c.res.status) && c.get("denied") !== true) return;
    const { error } = c;
    control.audit.denied({
      who: c.get("principal") ?? null,
      from: c.env?.address ?? null,
      operation: c.req.method,
      target: c.req.path.slice(0, MAX_TARGET),
      result: error instanceof LeafmeshError ? error.code : String(c.res.status),
    });
  };
}

/**
 * Tells a change before and after it is made. Stands behind what refuses, and in front of the handlers.
 * @throws LeafmeshError `audit_unavailable`, and nothing is changed
 */
export function tellChanges({ control }: ApiOptions): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { method, path } = c.req;
    if (!isChange(method, path)) return await next();
    const query = c.req.query();
    const asked = withoutEventId(path, await bodyOf(c.req));
    const principal = c.get("principal");
    await control.audit.change(
      {
        operation: method,
        target: path.slice(0, MAX_TARGET),
        asked: {
          ...(Object.keys(query).length === 0 ? {} : { query }),
          ...(asked === undefined ? {} : { body: asked }),
        },
        ...(CUTS.has(c.get("operation") ?? "") ? { cuts: true } : {}),
        by: { who: principal ?? { type: "sidecar", name: "unknown" }, from: c.env?.address ?? null },
      },
      next,
      () => {
        const { error, res } = c;
        return error instanceof LeafmeshError ? `${res.status} ${error.code}` : String(res.status);
      },
    );
  };
}

/** Ids of events may name a person: of an erasure only the hash is told. */
function withoutEventId(path: string, body: unknown): unknown {
  if (!path.endsWith("/erasures") || typeof body !== "object" || body === null || !("id" in body))
    return body;
  return { ...body, id: `sha256:${createHash("sha256").update(String(body.id)).digest("hex")}` };
}

/** The body as JSON; what is none is only measured: it is refused anyway. */
async function bodyOf(request: { text(): Promise<string> }): Promise<unknown> {
  const text = await request.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return { omitted: "no JSON", characters: text.length };
  }
}
