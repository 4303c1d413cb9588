/** `/v1/tenants/{tenant}/exports/{name}/diff` and `…/shadow`: what other rules would do. Nothing that is sent changes. */
import { Buffer } from "node:buffer";
import { createRoute, z } from "@hono/zod-openapi";
import type { ShownComparison, ShownOutput } from "../src/control/compare_api.ts";
import { LeafmeshError } from "../src/model/errors.ts";
import { CandidateRules } from "../src/model/schema/policy.ts";
import { parseDurationMs } from "../src/model/units.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { removeDocument, requireTenant, writeDocument } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { etag } from "./precondition.ts";
import { problemResponse } from "./problem.ts";
import {
  type ComparisonDocument,
  DiffBody,
  DiffResponse,
  type OutputDocument,
  ShadowResponse,
} from "./schema/compare.ts";
import { ExportParams, jsonBody, WriteHeaders } from "./schema/request.ts";
import { jsonResponse, removeResponses, writeResponses } from "./schema/response.ts";
import { requirePayloads } from "./visible.ts";

const DEFAULT_LAST = 10_000;
const DEFAULT_DEADLINE = "60s";
const path = "/v1/tenants/{tenant}/exports/{name}/shadow";
const common = { tags: ["exports"], security: BEARER };

const diff = createRoute({
  ...common,
  method: "post",
  path: "/v1/tenants/{tenant}/exports/{name}/diff",
  operationId: "diffExport",
  summary: "Holds other rules against those in force, over the tenant's stored events",
  request: { params: ExportParams, body: jsonBody(DiffBody) },
  responses: {
    200: jsonResponse(DiffResponse, "What would be different"),
    default: problemResponse,
  },
});
const get = createRoute({
  ...common,
  method: "get",
  path,
  operationId: "getShadow",
  summary: "What an export's shadow has counted",
  request: {
    params: ExportParams,
    query: z.strictObject({
      samples: z.enum(["true", "false"]).optional().meta({
        description: "Show what leaves of samples under each policy; default false",
      }),
    }),
  },
  responses: {
    200: jsonResponse(ShadowResponse, "Its rules and counts; ETag names the revision of the rules"),
    default: problemResponse,
  },
});
const put = createRoute({
  ...common,
  method: "put",
  path,
  operationId: "putShadow",
  summary: "Tries rules beside those in force on the events to come",
  request: { params: ExportParams, headers: WriteHeaders, body: jsonBody(CandidateRules) },
  responses: writeResponses(CandidateRules),
});
const remove = createRoute({
  ...common,
  method: "delete",
  path,
  operationId: "deleteShadow",
  summary: "Ends the shadow of an export",
  request: { params: ExportParams, headers: WriteHeaders },
  responses: removeResponses,
});

export function addCompare(app: Api, options: ApiOptions): void {
  const { control } = options;
  app.openapi(
    diff,
    async (c) => {
      const { tenant, name } = c.req.valid("param");
      const { rules, last, since, samples = false, deadline = DEFAULT_DEADLINE } = c.req.valid("json");
      requireExport(options, tenant, name);
      const report = await control.diff(tenant, name, {
        rules,
        range:
          since === undefined ? { last: last ?? DEFAULT_LAST } : { sinceMs: parseDurationMs(since) ?? 0 },
        samples,
        deadlineMs: parseDurationMs(deadline) ?? 0,
        signal: c.req.raw.signal,
      });
      return c.json({ ...report, comparison: comparisonDocument(report.comparison) }, 200);
    },
    refuseInvalid(diff.request, "policy_invalid"),
  );
  app.openapi(
    get,
    async (c) => {
      const { tenant, name } = c.req.valid("param");
      const samples = c.req.valid("query").samples === "true";
      if (samples) requirePayloads(c);
      const found = control.state.get({ type: "shadow", tenant, name });
      if (found === null) requireExport(options, tenant, name);
      const report = await control.shadow(tenant, name, samples);
      if (found !== null) c.header("ETag", etag(found.revision));
      const { compared } = report;
      const document =
        compared === null ? null : { ...compared, comparison: comparisonDocument(compared.comparison) };
      return c.json({ ...report, compared: document }, 200);
    },
    refuseInvalid(get.request),
  );
  app.openapi(
    put,
    async (c) => {
      const ref = { type: "shadow", ...c.req.valid("param") } as const;
      requireExport(options, ref.tenant, ref.name);
      const rules = c.req.valid("json");
      return c.json(rules, await writeDocument(c, options, ref, rules));
    },
    refuseInvalid(put.request, "policy_invalid"),
  );
  app.openapi(
    remove,
    (c) => removeDocument(c, options, { type: "shadow", ...c.req.valid("param") }),
    refuseInvalid(remove.request),
  );
}

function requireExport({ control }: ApiOptions, tenant: string, name: string): void {
  requireTenant(control, tenant);
  if (control.state.get({ type: "export", tenant, name }) !== null) return;
  throw new LeafmeshError("not_found", `There is no export '${name}' of tenant '${tenant}'`);
}

function comparisonDocument({ rules, ...rest }: ShownComparison): ComparisonDocument {
  return {
    ...rest,
    rules: rules.map(({ samples, ...rule }) => ({
      ...rule,
      samples: samples.map(({ active, candidate, ...sample }) => ({
        ...sample,
        ...(active === undefined ? {} : { active: outputDocument(active) }),
        ...(candidate === undefined ? {} : { candidate: outputDocument(candidate) }),
      })),
    })),
  };
}

function outputDocument(output: ShownOutput | null): OutputDocument | null {
  if (output === null) return null;
  const { data, ...rest } = output;
  try {
    // A character that the end of the sample cuts is left out.
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return { ...rest, dataText: decoder.decode(data, { stream: true }) };
  } catch {
    return { ...rest, dataBase64: Buffer.from(data).toString("base64") };
  }
}
