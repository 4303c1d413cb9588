/** `/healthz`, `/readyz` and `/metrics`: for those who watch the sidecar. */
import { createRoute, z } from "@hono/zod-openapi";
import type { Principal } from "../src/model/principal.ts";
import { BEARER } from "./auth.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { jsonResponse } from "./schema/response.ts";

const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

const healthz = createRoute({
  method: "get",
  path: "/healthz",
  operationId: "healthz",
  summary: "The process answers; says nothing of the site",
  tags: ["health"],
  responses: { 200: jsonResponse(z.object({ ok: z.literal(true) }), "It lives") },
});
const Ready = z.object({ ready: z.boolean(), reasons: z.array(z.string()).readonly() }).meta({ id: "Ready" });
const readyz = createRoute({
  method: "get",
  path: "/readyz",
  operationId: "readyz",
  summary: "The site does its work: its server is up, the state is applied",
  tags: ["health"],
  responses: { 200: jsonResponse(Ready, "Ready"), 503: jsonResponse(Ready, "Not ready, and why") },
});

function maySeeSite(principal: Principal | undefined): boolean {
  return principal !== undefined && principal.role !== "tenant-admin";
}

export function addHealth(app: Api, { control, openMetrics }: ApiOptions): void {
  app.openapi(healthz, (c) => c.json({ ok: true as const }, 200));
  app.openapi(readyz, async (c) => {
    const { ready, reasons } = await control.ready();
    // Reasons name streams, and with them tenants.
    const told =
      maySeeSite(c.get("principal")) || reasons.length === 0
        ? reasons
        : ["the reasons are told with a token"];
    return c.json({ ready, reasons: told }, ready ? 200 : 503);
  });
  const metrics = createRoute({
    method: "get",
    path: "/metrics",
    operationId: "metrics",
    summary: "Metrics for Prometheus",
    tags: ["health"],
    ...(openMetrics === true ? {} : { security: BEARER }),
    responses: {
      200: { description: "Prometheus text", content: { "text/plain": { schema: z.string() } } },
      default: problemResponse,
    },
  });
  app.openapi(metrics, async (c) => c.text(await control.metrics(), 200, { "Content-Type": PROMETHEUS }));
}
