/** `/v1/plan` and `/v1/apply`: what differs from the desired state, and doing it now. */
import { createRoute } from "@hono/zod-openapi";
import { BEARER } from "./auth.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { ApplyReport, PlanReport } from "./schema/report.ts";
import { jsonResponse } from "./schema/response.ts";
import { visiblePlan } from "./visible.ts";

const plan = createRoute({
  method: "get",
  path: "/v1/plan",
  operationId: "getPlan",
  summary: "What would be done to reach the desired state, step by step",
  tags: ["plan"],
  security: BEARER,
  responses: {
    200: jsonResponse(PlanReport, "The plan; no steps when nothing differs"),
    default: problemResponse,
  },
});
const apply = createRoute({
  method: "post",
  path: "/v1/apply",
  operationId: "apply",
  summary: "Runs the plan now, and waits; the sidecar does the same by itself within seconds",
  tags: ["plan"],
  security: BEARER,
  responses: { 200: jsonResponse(ApplyReport, "What was done, and what failed"), default: problemResponse },
});

export function addPlan(app: Api, { control }: ApiOptions): void {
  app.openapi(plan, async (c) => c.json(visiblePlan(c, await control.plan()), 200));
  app.openapi(apply, async (c) => c.json(await control.apply(), 200));
}
