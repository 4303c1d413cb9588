/** `/v1/tenants/{tenant}/dlq`: events that a policy could not decide. They never left the site. */
import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import { payloadFields } from "./payload.ts";
import { problemResponse } from "./problem.ts";
import { DeadLetter, DeadLetterDetail, DropBody, FilterFields, filterOf } from "./schema/dead_letter.ts";
import { jsonBody, TenantParams, wholeNumber } from "./schema/request.ts";
import { jsonResponse } from "./schema/response.ts";
import { requirePayloads, seesPayloads } from "./visible.ts";

const DEFAULT_LIMIT = 100;

const common = { tags: ["dlq"], security: BEARER };
const LetterParams = TenantParams.extend({
  sequence: wholeNumber(z.int().min(1)).meta({ type: "integer", example: 17 }),
});
// `redrives` stands in the same place: its routes come first.
const LETTER_PATH = "/v1/tenants/{tenant}/dlq/{sequence}" as const;

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tenants/{tenant}/dlq",
  operationId: "listDeadLetters",
  summary: "Dead letters of a tenant, oldest first",
  request: {
    params: TenantParams,
    query: z.strictObject({
      after: wholeNumber(z.int().min(0)).optional().meta({
        type: "integer",
        description: "Sequence to continue after; default 0",
      }),
      limit: wholeNumber(z.int().min(1).max(1000))
        .optional()
        .meta({
          type: "integer",
          description: `At most 1000; default ${DEFAULT_LIMIT}. A page may hold fewer, even none, and go on`,
        }),
      ...FilterFields,
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

const show = createRoute({
  ...common,
  method: "get",
  path: LETTER_PATH,
  operationId: "getDeadLetter",
  summary: "One dead letter; its payload only when it is asked for",
  request: {
    params: LetterParams,
    query: z.strictObject({
      payload: z
        .enum(["true", "false"])
        .optional()
        .meta({ description: "Show the event's payload: raw data that no policy has redacted" }),
    }),
  },
  responses: { 200: jsonResponse(DeadLetterDetail, "The dead letter"), default: problemResponse },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: LETTER_PATH,
  operationId: "dropDeadLetter",
  summary: "Drops one dead letter: the event is gone",
  request: { params: LetterParams },
  responses: { 204: { description: "Dropped" }, default: problemResponse },
});

const drop = createRoute({
  ...common,
  method: "post",
  path: "/v1/tenants/{tenant}/dlq/drop",
  operationId: "dropDeadLetters",
  summary: "Drops the dead letters of a filter that are there now: the events are gone",
  request: { params: TenantParams, body: jsonBody(DropBody) },
  responses: {
    200: jsonResponse(
      z.object({ dropped: z.int(), dryRun: z.boolean() }).meta({ id: "Dropped" }),
      "How many are dropped, or would be",
    ),
    default: problemResponse,
  },
});

/** Headers are the publisher's, as the payload is: a policy may have dropped them. */
function visibleLetter<T extends { readonly headers: object }>(c: Context<ApiEnv>, letter: T): T {
  return seesPayloads(c) ? letter : { ...letter, headers: {} };
}

export function addDeadLetters(app: Api, { control }: ApiOptions): void {
  app.openapi(
    list,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { after = 0, limit = DEFAULT_LIMIT, ...filter } = c.req.valid("query");
      requireTenant(control, tenant);
      const { letters, next } = await control.deadLetters.list(tenant, { after, limit, ...filterOf(filter) });
      return c.json({ items: letters.map((letter) => visibleLetter(c, letter)), next }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    drop,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { dryRun = false, all: _all, ...filter } = c.req.valid("json");
      requireTenant(control, tenant);
      const dropped = await control.deadLetters.drop(tenant, filterOf(filter), { dryRun });
      return c.json({ dropped, dryRun }, 200);
    },
    refuseInvalid(drop.request),
  );
  app.openapi(
    show,
    async (c) => {
      const { tenant, sequence } = c.req.valid("param");
      requireTenant(control, tenant);
      // The one place where raw data leaves by the API.
      const asked = c.req.valid("query").payload === "true";
      if (asked) requirePayloads(c);
      const { payload, ...letter } = await control.deadLetters.show(tenant, sequence, { payload: asked });
      return c.json(
        { ...visibleLetter(c, letter), ...(payload === null ? {} : payloadFields("payload", payload)) },
        200,
      );
    },
    refuseInvalid(show.request),
  );
  app.openapi(
    remove,
    async (c) => {
      const { tenant, sequence } = c.req.valid("param");
      requireTenant(control, tenant);
      await control.deadLetters.remove(tenant, sequence);
      return c.body(null, 204);
    },
    refuseInvalid(remove.request),
  );
}
