/** `/v1/tenants/{tenant}/dlq`: events that a policy could not decide. They never left the site. */
import { createRoute, z } from "@hono/zod-openapi";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { DeadLetter } from "./schema/report.ts";
import { TenantParams } from "./schema/request.ts";
import { jsonResponse } from "./schema/response.ts";

const DEFAULT_LIMIT = 100;

const list = createRoute({
  method: "get",
  path: "/v1/tenants/{tenant}/dlq",
  operationId: "listDeadLetters",
  summary: "Dead letters of a tenant, oldest first",
  tags: ["dlq"],
  security: BEARER,
  request: {
    params: TenantParams,
    query: z.strictObject({
      after: z.coerce.number().pipe(z.int().min(0)).optional().meta({
        type: "integer",
        description: "Sequence to continue after; default 0",
      }),
      limit: z.coerce
        .number()
        .pipe(z.int().min(1).max(1000))
        .optional()
        .meta({
          type: "integer",
          description: `At most 1000; default ${DEFAULT_LIMIT}`,
        }),
    }),
  },
  responses: {
    200: jsonResponse(
      z
        .object({
          items: z.array(DeadLetter).readonly(),
          next: z.int().nullable().meta({ description: "What to send as `after` for more; null at the end" }),
        })
        .meta({ id: "DeadLetterList" }),
      "A page of dead letters",
    ),
    default: problemResponse,
  },
});

export function addDeadLetters(app: Api, { control }: ApiOptions): void {
  app.openapi(
    list,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { after = 0, limit = DEFAULT_LIMIT } = c.req.valid("query");
      requireTenant(control, tenant);
      const { letters, next } = await control.deadLetters(tenant, { after, limit });
      return c.json({ items: letters, next }, 200);
    },
    refuseInvalid(list.request),
  );
}
