/** `/v1/site` and `/v1/links`: what runs here, and how it is linked. */
import { createRoute } from "@hono/zod-openapi";
import { BEARER } from "./auth.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { LinkReport, SiteReport } from "./schema/report.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";
import { visibleLinks, visibleSite } from "./visible.ts";

const site = createRoute({
  method: "get",
  path: "/v1/site",
  operationId: "getSite",
  summary: "This site: its key, its server, whether the state is applied",
  tags: ["site"],
  security: BEARER,
  responses: { 200: jsonResponse(SiteReport, "The site"), default: problemResponse },
});

export function addSite(app: Api, { control }: ApiOptions): void {
  app.openapi(site, async (c) => c.json(visibleSite(c, await control.site(), control.alarms.list()), 200));
}

const links = createRoute({
  method: "get",
  path: "/v1/links",
  operationId: "listLinks",
  summary: "Every link with its routes: connected, verified, lag, loss",
  tags: ["links"],
  security: BEARER,
  responses: itemsResponses(LinkReport, "LinkList", "One entry a peer"),
});

export function addLinks(app: Api, { control }: ApiOptions): void {
  app.openapi(links, async (c) => c.json({ items: visibleLinks(c, await control.links()) }, 200));
}
