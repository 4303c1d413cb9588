/** `/v1/tenants/{tenant}/dlq/redrives`: dead letters that the policy of now decides again. */
import { createRoute } from "@hono/zod-openapi";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import { JobId, waitMs, waitQuery } from "./jobs.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { DEFAULT_RATE, filterOf, RedriveBody, RedriveReport } from "./schema/dead_letter.ts";
import { jsonBody, TenantParams } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";

const common = { tags: ["dlq"], security: BEARER };
const PATH = "/v1/tenants/{tenant}/dlq/redrives" as const;
const RedriveParams = TenantParams.extend({ id: JobId });

const start = createRoute({
  ...common,
  method: "post",
  path: PATH,
  operationId: "startRedrive",
  summary: "Decides dead letters again, in order; one redrive of a tenant at a time",
  description:
    "What the policy of now forwards goes into its view, once, with the id that the event would have had, and is no dead " +
    "letter any more; what it drops is dropped; what it cannot decide stays. Follow it with getRedrive.",
  request: { params: TenantParams, body: jsonBody(RedriveBody) },
  responses: { 202: jsonResponse(RedriveReport, "It has started"), default: problemResponse },
});

const list = createRoute({
  ...common,
  method: "get",
  path: PATH,
  operationId: "listRedrives",
  summary: "The last redrives since the sidecar started, newest first",
  request: { params: TenantParams },
  responses: itemsResponses(RedriveReport, "RedriveList"),
});

const show = createRoute({
  ...common,
  method: "get",
  path: `${PATH}/{id}`,
  operationId: "getRedrive",
  summary: "How far a redrive is",
  request: {
    params: RedriveParams,
    query: waitQuery("when it has ended"),
  },
  responses: { 200: jsonResponse(RedriveReport, "The redrive"), default: problemResponse },
});

const cancel = createRoute({
  ...common,
  method: "delete",
  path: `${PATH}/{id}`,
  operationId: "cancelRedrive",
  summary: "Ends a redrive after the dead letters that it has in hand",
  request: { params: RedriveParams },
  responses: { 200: jsonResponse(RedriveReport, "How far it came"), default: problemResponse },
});

export function addRedrives(app: Api, { control }: ApiOptions): void {
  app.openapi(
    start,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { sequence, dryRun = false, rate = DEFAULT_RATE, all: _all, ...filter } = c.req.valid("json");
      requireTenant(control, tenant);
      const report = await control.deadLetters.redrive(tenant, {
        ...(sequence === undefined ? {} : { sequence }),
        filter: filterOf(filter),
        dryRun,
        rate,
      });
      return c.json(report, 202);
    },
    refuseInvalid(start.request),
  );
  app.openapi(
    list,
    (c) => {
      const { tenant } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json({ items: control.deadLetters.redrives(tenant) }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    show,
    async (c) => {
      const { tenant, id } = c.req.valid("param");
      requireTenant(control, tenant);
      const until = { waitMs: waitMs(c.req.valid("query")) };
      return c.json(await control.deadLetters.redriveOf(tenant, id, until), 200);
    },
    refuseInvalid(show.request),
  );
  app.openapi(
    cancel,
    async (c) => {
      const { tenant, id } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json(await control.deadLetters.cancelRedrive(tenant, id), 200);
    },
    refuseInvalid(cancel.request),
  );
}
