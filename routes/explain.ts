/** `/v1/explain`: what would become of an event, peer by peer. Nothing is published. */

import { Buffer } from "node:buffer";
import { createRoute } from "@hono/zod-openapi";
import type { ExplainReport, ExplainRequest } from "../src/control/explain_api.ts";
import { LeafmeshError } from "../src/model/errors.ts";
import { nameProblem } from "../src/model/names.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { payloadFields } from "./payload.ts";
import { problemResponse } from "./problem.ts";
import { ExplainBody, ExplainResponse, type ShownReport } from "./schema/explain.ts";
import { jsonBody, TenantParams } from "./schema/request.ts";
import { jsonResponse } from "./schema/response.ts";
import { requireVisible } from "./visible.ts";

const common = {
  method: "post" as const,
  tags: ["explain"],
  security: BEARER,
  responses: {
    200: jsonResponse(ExplainResponse, "What each peer would get, and why"),
    default: problemResponse,
  },
};
const explain = createRoute({
  ...common,
  path: "/v1/explain",
  operationId: "explain",
  summary: "Explains an event; its tenant is the subject's first token",
  request: { body: jsonBody(ExplainBody) },
});
const explainTenant = createRoute({
  ...common,
  path: "/v1/tenants/{tenant}/explain",
  operationId: "explainTenant",
  summary: "Explains an event of a tenant",
  request: { params: TenantParams, body: jsonBody(ExplainBody) },
});

export function addExplain(app: Api, { control }: ApiOptions): void {
  const run = async (tenant: string, body: ExplainBody): Promise<ShownReport> => {
    requireTenant(control, tenant);
    return show(await control.explain(tenant, requestOf(body)));
  };
  app.openapi(
    explain,
    async (c) => {
      const body = c.req.valid("json");
      const tenant = tenantOf(body.subject);
      requireVisible(c, tenant);
      return c.json(await run(tenant, body), 200);
    },
    refuseInvalid(explain.request),
  );
  app.openapi(
    explainTenant,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const body = c.req.valid("json");
      if (tenantOf(body.subject) !== tenant) {
        throw invalidSubject(`'${body.subject}' is no subject of tenant '${tenant}' (expected ${tenant}.…)`);
      }
      return c.json(await run(tenant, body), 200);
    },
    refuseInvalid(explainTenant.request),
  );
}

function tenantOf(subject: string): string {
  const [tenant = "", ...rest] = subject.split(".");
  if (rest.length > 0 && nameProblem(tenant) === null) return tenant;
  throw invalidSubject(
    `'${subject}' has no tenant as its first token (expected for example acme.orders.created)`,
  );
}

function invalidSubject(message: string): LeafmeshError {
  return new LeafmeshError("request_invalid", `The body is not valid: subject ${message}`, {
    problems: [{ path: "subject", message }],
  });
}

function requestOf(body: ExplainBody): ExplainRequest {
  return {
    subject: body.subject,
    headers: body.headers ?? {},
    data: payloadOf(body),
    ...(body.origin === undefined ? {} : { origin: body.origin }),
  };
}

function payloadOf(body: ExplainBody): Uint8Array {
  if (body.dataBase64 !== undefined) return new Uint8Array(Buffer.from(body.dataBase64, "base64"));
  const text = body.dataText ?? ("data" in body ? JSON.stringify(body.data) : "");
  return new TextEncoder().encode(text);
}

function show(report: ExplainReport): ShownReport {
  const peers = report.peers.map((peer) => {
    if (peer.result === null) return { ...peer, result: null };
    const { data, ...result } = peer.result;
    return { ...peer, result: { ...result, ...payloadFields("data", data) } };
  });
  return { ...report, peers };
}
