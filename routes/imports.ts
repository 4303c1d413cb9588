/** `/v1/tenants/{tenant}/imports`: what a tenant accepts from its peers. */
import { createRoute } from "@hono/zod-openapi";
import type { ResourceRef } from "../src/control/resource.ts";
import { ImportPolicy } from "../src/model/schema/policy.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { listDocuments, readDocument, removeDocument, requireSame, writeDocument } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import {
  ImportBody,
  ImportParams,
  jsonBody,
  OriginQuery,
  OriginWaitQuery,
  ReadHeaders,
  TenantParams,
  WriteHeaders,
} from "./schema/request.ts";
import { listResponses, readResponses, removeResponses, writeResponses } from "./schema/response.ts";

const path = "/v1/tenants/{tenant}/imports/{peer}";
const common = { tags: ["imports"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tenants/{tenant}/imports",
  operationId: "listImports",
  summary: "All that a tenant accepts",
  request: { params: TenantParams },
  responses: listResponses(ImportPolicy, "ImportList"),
});
const get = createRoute({
  ...common,
  method: "get",
  path,
  operationId: "getImport",
  summary: "What a tenant accepts from one peer",
  request: { params: ImportParams, query: OriginQuery, headers: ReadHeaders },
  responses: readResponses(ImportPolicy),
});
const put = createRoute({
  ...common,
  method: "put",
  path,
  operationId: "putImport",
  summary: "Accepts events of a peer, or changes which",
  request: {
    params: ImportParams,
    query: OriginWaitQuery,
    headers: WriteHeaders,
    body: jsonBody(ImportBody),
  },
  responses: writeResponses(ImportPolicy),
});
const remove = createRoute({
  ...common,
  method: "delete",
  path,
  operationId: "deleteImport",
  summary: "Accepts no more events of a peer",
  request: { params: ImportParams, query: OriginWaitQuery, headers: WriteHeaders },
  responses: removeResponses,
});

export function addImports(app: Api, options: ApiOptions): void {
  app.openapi(
    list,
    (c) => {
      const items = listDocuments(options, "import", c.req.valid("param").tenant);
      return c.json({ items: items.map(({ ref: _ref, ...item }) => item) }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    get,
    (c) => readDocument(c, options, refOf(c.req.valid("param"), c.req.valid("query").origin)),
    refuseInvalid(get.request),
  );
  app.openapi(
    put,
    async (c) => {
      const ref = refOf(c.req.valid("param"), c.req.valid("query").origin);
      const policy = c.req.valid("json");
      requireSame("from", ref.from, policy.from);
      requireSame("origin", ref.origin ?? ref.from, policy.origin);
      const value = {
        ...policy,
        from: ref.from,
        ...(ref.origin === undefined ? {} : { origin: ref.origin }),
      };
      return c.json(value, await writeDocument(c, options, ref, value));
    },
    refuseInvalid(put.request, "policy_invalid"),
  );
  app.openapi(
    remove,
    (c) => removeDocument(c, options, refOf(c.req.valid("param"), c.req.valid("query").origin)),
    refuseInvalid(remove.request),
  );
}

/** An origin that is the peer itself is no transit. */
function refOf(
  { tenant, peer }: { readonly tenant: string; readonly peer: string },
  origin: string | undefined,
): Extract<ResourceRef, { type: "import" }> {
  return {
    type: "import",
    tenant,
    from: peer,
    ...(origin === undefined || origin === peer ? {} : { origin }),
  };
}
