/** `/v1/tenants/{tenant}/erasures`: takes events out of this site's streams and those of the peers that have them. */
import { createRoute, z } from "@hono/zod-openapi";
import { ErasureState } from "../src/model/erasure.ts";
import { LeafmeshError } from "../src/model/errors.ts";
import { Name, Pattern } from "../src/model/schema/scalars.ts";
import { patternProblem } from "../src/model/subject.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import { JobId } from "./jobs.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { jsonBody, TenantParams } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";

const common = { tags: ["erasures"], security: BEARER };
const PATH = "/v1/tenants/{tenant}/erasures" as const;
const time = z.iso.datetime({ offset: true });

const Body = z
  .strictObject({
    subject: Pattern.meta({
      description: "Subject or pattern of the events, within the tenant",
      example: "acme.orders.x",
    }),
    origin: Name.optional().meta({ description: "Where they were published; default this site" }),
    id: z.string().min(1).max(256).optional().meta({ description: "Nats-Msg-Id of the event" }),
    sequence: z.int().positive().optional().meta({ description: "Sequence that the PubAck gave" }),
    since: time.optional(),
    until: time.optional(),
    all: z
      .literal(true)
      .optional()
      .meta({ description: "All events of the subject, where nothing else is given" }),
    dryRun: z.boolean().optional().meta({ description: "Erase nothing, say what would be" }),
  })
  .meta({ id: "ErasureBody" });

const counts = z.record(z.string(), z.int()).readonly().meta({ description: "Copies by stream" });
// Peers of peers follow in each.
const Peers = z
  .array(z.looseObject({ peer: z.string(), state: ErasureState, erased: counts, why: z.string().nullable() }))
  .readonly();
const Erasure = z
  .object({
    id: z.string(),
    tenant: z.string(),
    origin: z.string(),
    subject: z.string(),
    dryRun: z.boolean(),
    state: ErasureState,
    startedAt: z.string(),
    endedAt: z.string().nullable(),
    events: z.int(),
    erased: counts,
    peers: Peers,
    why: z.string().nullable(),
  })
  .meta({ id: "Erasure" });

const start = createRoute({
  ...common,
  method: "post",
  path: PATH,
  operationId: "startErasure",
  summary:
    "Erases events here and has the peers that received them do the same; a dry run says what and where",
  request: { params: TenantParams, body: jsonBody(Body) },
  responses: { 202: jsonResponse(Erasure, "How it stands after the first pass"), default: problemResponse },
});
const list = createRoute({
  ...common,
  method: "get",
  path: PATH,
  operationId: "listErasures",
  summary: "Erasures of a tenant, those that peers have asked for among them, newest first",
  request: { params: TenantParams },
  responses: itemsResponses(Erasure, "ErasureList"),
});
const show = createRoute({
  ...common,
  method: "get",
  path: `${PATH}/{erasure}`,
  operationId: "getErasure",
  summary: "How an erasure stands",
  request: { params: TenantParams.extend({ erasure: JobId }) },
  responses: { 200: jsonResponse(Erasure, "The erasure"), default: problemResponse },
});

export function addErasures(app: Api, { control }: ApiOptions): void {
  app.openapi(
    start,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { subject, origin, id, sequence, since, until, all, dryRun = false } = c.req.valid("json");
      requireTenant(control, tenant);
      requireOf(tenant, subject);
      if (
        id === undefined &&
        sequence === undefined &&
        since === undefined &&
        until === undefined &&
        all === undefined
      ) {
        throw new LeafmeshError(
          "request_invalid",
          "Which events of the subject? Give 'id', 'sequence', 'since' or 'until', or 'all': true",
        );
      }
      const report = await control.erasures.start(tenant, {
        subject,
        dryRun,
        ...(origin === undefined ? {} : { origin }),
        ...(id === undefined ? {} : { id }),
        ...(sequence === undefined ? {} : { sequence }),
        ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
        ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
      });
      return c.json(report, 202) as never;
    },
    refuseInvalid(start.request),
  );
  app.openapi(
    list,
    (c) => {
      const { tenant } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json({ items: control.erasures.list(tenant) }, 200) as never;
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    show,
    (c) => {
      const { tenant, erasure } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json(control.erasures.get(tenant, erasure), 200) as never;
    },
    refuseInvalid(show.request),
  );
}

/** @throws LeafmeshError `request_invalid` for a subject of another tenant */
function requireOf(tenant: string, subject: string): void {
  const problem =
    patternProblem(subject) ??
    (subject.startsWith(`${tenant}.`) ? null : `is no subject of tenant '${tenant}'`);
  if (problem !== null) throw new LeafmeshError("request_invalid", `Subject '${subject}' ${problem}`);
}
