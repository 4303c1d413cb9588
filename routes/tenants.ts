/** `/v1/tenants`: who uses the site, with which limits. */
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { listDocuments, readDocument, removeDocument, requireSame, writeDocument } from "./documents.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import {
  jsonBody,
  ReadHeaders,
  TenantBody,
  TenantParams,
  WaitQuery,
  WriteHeaders,
} from "./schema/request.ts";
import { listResponses, readResponses, removeResponses, writeResponses } from "./schema/response.ts";
import { onlyTenant, requireOwnFields, visibleSettings } from "./visible.ts";

const path = "/v1/tenants/{tenant}";
const common = { tags: ["tenants"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tenants",
  operationId: "listTenants",
  summary: "All tenants",
  responses: listResponses(TenantBody, "TenantList"),
});
const get = createRoute({
  ...common,
  method: "get",
  path,
  operationId: "getTenant",
  summary: "One tenant",
  request: { params: TenantParams, headers: ReadHeaders },
  responses: readResponses(TenantBody),
});
const put = createRoute({
  ...common,
  method: "put",
  path,
  operationId: "putTenant",
  summary: "Makes or changes a tenant",
  request: { params: TenantParams, query: WaitQuery, headers: WriteHeaders, body: jsonBody(TenantBody) },
  responses: writeResponses(TenantBody),
});
const remove = createRoute({
  ...common,
  method: "delete",
  path,
  operationId: "deleteTenant",
  summary: "Removes a tenant with its exports and imports",
  request: { params: TenantParams, query: WaitQuery, headers: WriteHeaders },
  responses: removeResponses,
});

function visibleTenants(c: Context<ApiEnv>, options: ApiOptions) {
  const only = onlyTenant(c);
  return listDocuments(options, "tenant").filter(({ ref }) => only === null || ref.tenant === only);
}

export function addTenants(app: Api, options: ApiOptions): void {
  app.openapi(list, (c) => {
    const items = visibleTenants(c, options).map(({ ref, value, ...item }) => ({
      ...item,
      value: { tenant: ref.tenant, ...visibleSettings(c, value) },
    }));
    return c.json({ items }, 200);
  });
  app.openapi(
    get,
    (c) => {
      const { tenant } = c.req.valid("param");
      return readDocument(c, options, { type: "tenant", tenant }, (value) => ({
        tenant,
        ...visibleSettings(c, value),
      }));
    },
    refuseInvalid(get.request),
  );
  app.openapi(
    put,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { tenant: named, ...settings } = c.req.valid("json");
      requireSame("tenant", tenant, named);
      requireOwnFields(c, options.control.state.get({ type: "tenant", tenant })?.value, settings);
      const status = await writeDocument(c, options, { type: "tenant", tenant }, settings);
      return c.json({ tenant, ...settings }, status);
    },
    refuseInvalid(put.request),
  );
  app.openapi(
    remove,
    (c) => removeDocument(c, options, { type: "tenant", tenant: c.req.valid("param").tenant }),
    refuseInvalid(remove.request),
  );
}
