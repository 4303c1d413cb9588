/** The HTTP API of a sidecar. Each resource is one file; this one puts in front what they all share. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { secureHeaders } from "hono/secure-headers";
import { LeafmeshError } from "../src/model/errors.ts";
import type { VersionHeader } from "./answers.ts";
import { requireToken } from "./auth.ts";
import { addCompare } from "./compare.ts";
import { addDeadLetters } from "./dlq.ts";
import { addExplain } from "./explain.ts";
import { addExports } from "./exports.ts";
import { addHealth } from "./health.ts";
import { addImports } from "./imports.ts";
import { addKeys } from "./keys.ts";
import { addLint } from "./lint.ts";
import { addOpenApi } from "./openapi.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import { addPeers } from "./peers.ts";
import { addPlan } from "./plan.ts";
import { addNotFound, errorWriter } from "./problem.ts";
import { addRedrives } from "./redrives.ts";
import { addSchemas } from "./schemas.ts";
import { addLinks, addSite } from "./site.ts";
import { addTenants } from "./tenants.ts";

export type { Api, ApiLog, ApiOptions } from "./options.ts";

/** Largest body of a request. */
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Builds the API. Serve its `fetch`; in tests call its `request`.
 *
 * Everything under `/v1`, and `/metrics` unless `openMetrics`, wants the bearer token.
 */
export function createApi(options: ApiOptions): Api {
  const app: Api = new OpenAPIHono<ApiEnv>();
  app.onError(errorWriter(options));
  // No HSTS: this server speaks plain HTTP, on loopback or behind a proxy that has its own.
  app.use(secureHeaders({ strictTransportSecurity: false }), async (c, next) => {
    c.header("Cache-Control", "no-store");
    c.header("Leafmesh-Version" satisfies VersionHeader, options.version);
    await next();
  });
  logChanges(app, options);
  const guard = requireToken(options);
  app.use("/v1/*", guard);
  if (options.openMetrics !== true) app.use("/metrics", guard);
  app.use(
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: () => {
        throw new LeafmeshError("too_large", `The body is larger than ${MAX_BODY_BYTES} bytes`);
      },
    }),
  );
  app.use("/v1/*", requireBody);
  addSite(app, options);
  addPeers(app, options);
  addTenants(app, options);
  addKeys(app, options);
  addSchemas(app, options);
  addExports(app, options);
  addCompare(app, options);
  addImports(app, options);
  addLinks(app, options);
  addPlan(app, options);
  addLint(app, options);
  addExplain(app, options);
  addRedrives(app, options);
  addDeadLetters(app, options);
  addHealth(app, options);
  addOpenApi(app, options);
  addNotFound(app);
  return app;
}

/**
 * A PUT without a body is a slip, not a document of defaults. Runtimes differ in what `Request.body` is then, so the
 * headers decide.
 *
 * @throws LeafmeshError `request_invalid`
 */
const requireBody: MiddlewareHandler = async (c, next) => {
  const { method } = c.req;
  const type = c.req.header("content-type");
  const length = c.req.header("content-length") ?? "0";
  if (method === "PUT" && type === undefined && length === "0" && !c.req.header("transfer-encoding")) {
    throw new LeafmeshError(
      "request_invalid",
      "The body is missing: PUT takes the document as application/json",
    );
  }
  await next();
};

/** One line for each request that may have changed something. */
function logChanges(app: Api, { log }: ApiOptions): void {
  app.use("/v1/*", async (c, next) => {
    const started = performance.now();
    await next();
    const { method } = c.req;
    if (
      method === "GET" ||
      method === "HEAD" ||
      c.res.status === 401 ||
      /\/(?:explain|lint|diff)$/.test(c.req.path)
    )
      return;
    const ms = Math.round(performance.now() - started);
    log.info("api change", { method, path: c.req.path, status: c.res.status, ms });
  });
}
