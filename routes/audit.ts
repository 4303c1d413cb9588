/** `/v1/audit`: who changed what and who was refused what, in a chain that shows when it was tampered with. */
import { createRoute, z } from "@hono/zod-openapi";
import { AuditRecord, RECORD_TYPES } from "../src/model/audit.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { wholeNumber } from "./schema/request.ts";
import { jsonResponse } from "./schema/response.ts";

const common = { tags: ["audit"], security: BEARER };
const time = z.iso.datetime({ offset: true });
const Since = { since: time.optional(), until: time.optional() };

const Head = z.object({ seq: z.int(), hash: z.string() }).meta({
  id: "AuditHead",
  description: "The last record: keep it elsewhere, and verify finds what was cut off since",
});
const Page = z
  .object({
    items: z.array(AuditRecord.meta({ id: "AuditRecord" })).readonly(),
    next: z.int().nullable().meta({ description: "What to send as after for more; null at the end" }),
    head: Head,
  })
  .meta({ id: "AuditPage" });

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/audit",
  operationId: "listAudit",
  summary: "Records of the audit trail, oldest first",
  request: {
    query: z.strictObject({
      ...Since,
      who: z.string().min(1).max(256).optional().meta({ description: "Name of who asked" }),
      target: z.string().min(1).max(256).optional().meta({ description: "A part of what it was done to" }),
      type: z.enum(RECORD_TYPES).optional(),
      after: wholeNumber(z.int().nonnegative()).optional(),
      limit: wholeNumber(z.int().positive().max(1000)).optional(),
    }),
  },
  responses: { 200: jsonResponse(Page, "A page"), default: problemResponse },
});

const exported = createRoute({
  ...common,
  method: "get",
  path: "/v1/audit/export",
  operationId: "exportAudit",
  summary: "The whole trail as JSON lines, as it is stored: what leafmesh audit verify takes",
  request: { query: z.strictObject(Since) },
  responses: {
    200: { description: "One record a line", content: { "application/jsonl": { schema: z.string() } } },
    default: problemResponse,
  },
});

export function addAudit(app: Api, { control }: ApiOptions): void {
  app.openapi(
    list,
    async (c) => {
      const { since, until, after = 0, limit = 100, who, target, type } = c.req.valid("query");
      const { records, next } = await control.audit.list({
        after,
        limit,
        ...range(since, until),
        ...(who === undefined ? {} : { who }),
        ...(target === undefined ? {} : { target }),
        ...(type === undefined ? {} : { type }),
      });
      return c.json({ items: records, next, head: control.audit.head }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    exported,
    (c) => {
      const { since, until } = c.req.valid("query");
      const lines = control.audit.export(range(since, until));
      const encoder = new TextEncoder();
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const { done, value } = await lines.next();
          if (done === true) controller.close();
          else controller.enqueue(encoder.encode(`${value}\n`));
        },
        async cancel() {
          await lines.return(undefined);
        },
      });
      // The types know JSON and texts; this is a stream of lines.
      return c.body(body, 200, { "Content-Type": "application/jsonl" }) as never;
    },
    refuseInvalid(exported.request),
  );
}

function range(since: string | undefined, until: string | undefined) {
  return {
    ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
    ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
  };
}
