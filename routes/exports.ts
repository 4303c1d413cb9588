/** `/v1/tenants/{tenant}/exports`: what a tenant lets its peers have. */
import { createRoute } from "@hono/zod-openapi";
import { ExportPolicy } from "../src/model/schema/policy.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { listDocuments, readDocument, removeDocument, requireSame, writeDocument } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import {
  ExportBody,
  ExportParams,
  jsonBody,
  ReadHeaders,
  TenantParams,
  WaitQuery,
  WriteHeaders,
} from "./schema/request.ts";
import { listResponses, readResponses, removeResponses, writeResponses } from "./schema/response.ts";

const path = "/v1/tenants/{tenant}/exports/{name}";
const common = { tags: ["exports"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tenants/{tenant}/exports",
  operationId: "listExports",
  summary: "All export policies of a tenant",
  request: { params: TenantParams },
  responses: listResponses(ExportPolicy, "ExportList"),
});
const get = createRoute({
  ...common,
  method: "get",
  path,
  operationId: "getExport",
  summary: "One export policy",
  request: { params: ExportParams, headers: ReadHeaders },
  responses: readResponses(ExportPolicy),
});
const put = createRoute({
  ...common,
  method: "put",
  path,
  operationId: "putExport",
  summary: "Makes or changes an export policy",
  request: { params: ExportParams, query: WaitQuery, headers: WriteHeaders, body: jsonBody(ExportBody) },
  responses: writeResponses(ExportPolicy),
});
const remove = createRoute({
  ...common,
  method: "delete",
  path,
  operationId: "deleteExport",
  summary: "Removes an export policy: what it let through stays here from now on",
  request: { params: ExportParams, query: WaitQuery, headers: WriteHeaders },
  responses: removeResponses,
});

export function addExports(app: Api, options: ApiOptions): void {
  app.openapi(
    list,
    (c) => {
      const items = listDocuments(options, "export", c.req.valid("param").tenant);
      return c.json({ items: items.map(({ ref: _ref, ...item }) => item) }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    get,
    (c) => readDocument(c, options, { type: "export", ...c.req.valid("param") }),
    refuseInvalid(get.request),
  );
  app.openapi(
    put,
    async (c) => {
      const ref = { type: "export", ...c.req.valid("param") } as const;
      const policy = c.req.valid("json");
      requireSame("name", ref.name, policy.name);
      const value = { ...policy, name: ref.name };
      return c.json(value, await writeDocument(c, options, ref, value));
    },
    refuseInvalid(put.request, "policy_invalid"),
  );
  app.openapi(
    remove,
    (c) => removeDocument(c, options, { type: "export", ...c.req.valid("param") }),
    refuseInvalid(remove.request),
  );
}
