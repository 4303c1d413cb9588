/** `/v1/members`: the sidecars of the site, and which of them leads. */
import { createRoute, z } from "@hono/zod-openapi";
import type { MemberReport } from "../src/model/member.ts";
import { BEARER } from "./auth.ts";
import type { Api, ApiOptions } from "./options.ts";
import { itemsResponses } from "./schema/response.ts";

const MemberSchema: z.ZodType<MemberReport> = z
  .object({
    name: z.string().meta({ example: "a" }),
    leads: z.boolean().meta({ description: "It does the work of the site; the others stand by" }),
    alive: z.boolean(),
    version: z.string(),
    api: z.string().meta({ description: "Where its API answers; empty while it starts" }),
    views: z.array(z.string()).readonly().meta({ description: "Views that it runs, `<tenant>/<export>`" }),
  })
  .meta({ id: "Member" });

const list = createRoute({
  method: "get",
  path: "/v1/members",
  operationId: "listMembers",
  summary: "The sidecars of the site, and which of them leads",
  tags: ["site"],
  security: BEARER,
  responses: itemsResponses(
    MemberSchema,
    "MemberList",
    "One entry a sidecar; none where each server of a cluster has its own",
  ),
});

export function addMembers(app: Api, { control }: ApiOptions): void {
  app.openapi(list, (c) => c.json({ items: control.members() }, 200));
}
