/** The HTTP API of a sidecar. Each resource is one file; this one puts in front what they all share. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { LeafmeshError } from "../src/model/errors.ts";
import { addAlarms } from "./alarms.ts";
import type { VersionHeader } from "./answers.ts";
import { addAudit } from "./audit.ts";
import { tellChanges, tellDenials } from "./audited.ts";
import { requireAccess } from "./auth.ts";
import { addCompare } from "./compare.ts";
import { addDeadLetters } from "./dlq.ts";
import { addErasures } from "./erasures.ts";
import { addExplain } from "./explain.ts";
import { addExports } from "./exports.ts";
import { addHealth } from "./health.ts";
import { addImports } from "./imports.ts";
import { addInvitations } from "./invitations.ts";
import { addKeys } from "./keys.ts";
import { readBody } from "./limits/body.ts";
import { Gate } from "./limits/gate.ts";
import { requireHead } from "./limits/head.ts";
import { addLint } from "./lint.ts";
import { addMembers } from "./members.ts";
import { addOpenApi } from "./openapi.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import { addPeers } from "./peers.ts";
import { addPlan } from "./plan.ts";
import { addNotFound, errorWriter } from "./problem.ts";
import { addRedrives } from "./redrives.ts";
import { addReplays } from "./replays.ts";
import { addRotations } from "./rotations.ts";
import { addSchemas } from "./schemas.ts";
import { addLinks, addSite } from "./site.ts";
import { addTenants } from "./tenants.ts";
import { addTokens } from "./tokens.ts";
import { addUsers } from "./users.ts";

export type { Api, ApiLog, ApiOptions } from "./options.ts";

/**
 * Builds the API. Serve its `fetch`; in tests call its `request`.
 *
 * Everything but what `authorization.ts` calls open wants a bearer token, and that its role may do it.
 */
export function createApi(options: ApiOptions): Api {
  const app: Api = new OpenAPIHono<ApiEnv>();
  app.onError(errorWriter(options));
  const headers = secureHeaders({
    // Without TLS this server speaks plain HTTP, on loopback or behind a proxy that has its own.
    strictTransportSecurity: options.tls === true,
    xFrameOptions: "DENY",
    contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    // The page has a policy of its own.
    overwrite: false,
  });
  app.use(headers, async (c, next) => {
    c.header("Cache-Control", "no-store");
    c.header("Leafmesh-Version" satisfies VersionHeader, options.version);
    await next();
  });
  app.use(requireHead(options));
  logChanges(app, options);
  app.use(tellDenials(options));
  app.use(requireAccess(app, options, new Gate(options.limits)));
  app.use(readBody(options.limits));
  app.use("/v1/*", requireBody);
  app.use("/v1/*", tellChanges(options));
  addTokens(app, options);
  addSite(app, options);
  addAlarms(app, options);
  addMembers(app, options);
  addPeers(app, options);
  addInvitations(app, options);
  addRotations(app, options);
  addTenants(app, options);
  addUsers(app, options);
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
  addAudit(app, options);
  addErasures(app, options);
  addReplays(app, options);
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
