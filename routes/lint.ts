/** `/v1/lint`: what is wrong with the policies in force, or with a file before it is applied. Nothing is changed. */
import { createRoute } from "@hono/zod-openapi";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { LintBody, LintReport } from "./schema/lint.ts";
import { jsonBody } from "./schema/request.ts";
import { jsonResponse } from "./schema/response.ts";
import { onlyTenant } from "./visible.ts";

const common = { path: "/v1/lint", tags: ["lint"], security: BEARER };
const responses = { 200: jsonResponse(LintReport, "What was found"), default: problemResponse };

const running = createRoute({
  ...common,
  method: "get",
  operationId: "getLint",
  summary: "Lints the policies in force",
  responses,
});
const candidate = createRoute({
  ...common,
  method: "post",
  operationId: "lint",
  summary: "Lints the text of a site file, with line and column",
  request: { body: jsonBody(LintBody) },
  responses,
});

export function addLint(app: Api, { control }: ApiOptions): void {
  app.openapi(running, (c) => c.json(control.lint(undefined, onlyTenant(c) ?? undefined), 200));
  app.openapi(
    candidate,
    (c) => {
      const { name = "site.yaml", text } = c.req.valid("json");
      return c.json(control.lint({ name, text }), 200);
    },
    refuseInvalid(candidate.request),
  );
}
