/** `/v1/tenants/{tenant}/keys`: ids of a tenant's keys for pseudonyms and encrypted values. Keys themselves never leave the site. */
import { createRoute, z } from "@hono/zod-openapi";
import { KEY_KINDS } from "../src/model/keys.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { TenantParams } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";

const Kind = z.enum(KEY_KINDS).meta({ example: "pseudonym" });

const TenantKey = z
  .object({
    kind: Kind,
    id: z.string().meta({ description: "Stands in every value that is written with the key" }),
    active: z.boolean().meta({ description: "New values are written with it; others are kept to decrypt" }),
  })
  .meta({ id: "TenantKey" });

const common = { tags: ["tenants"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tenants/{tenant}/keys",
  operationId: "listKeys",
  summary: "Ids of a tenant's keys, of each kind the newest first",
  request: { params: TenantParams },
  responses: itemsResponses(TenantKey, "TenantKeyList", "The keys"),
});
const rotate = createRoute({
  ...common,
  method: "post",
  path: "/v1/tenants/{tenant}/keys/{kind}",
  operationId: "rotateKey",
  summary: "Makes a new key, which is the active one from now on; policies that use it change with it",
  request: { params: TenantParams.extend({ kind: Kind }) },
  responses: { 201: jsonResponse(TenantKey, "The new key"), default: problemResponse },
});

export function addKeys(app: Api, { control }: ApiOptions): void {
  app.openapi(
    list,
    async (c) => {
      const { tenant } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json({ items: await control.keys(tenant) }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    rotate,
    async (c) => {
      const { tenant, kind } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json(await control.rotateKey(tenant, kind), 201);
    },
    refuseInvalid(rotate.request),
  );
}
