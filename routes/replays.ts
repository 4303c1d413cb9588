/** `/v1/tenants/{tenant}/replays`: events of a range again, to a peer or to the site's own subscribers. */
import { createRoute, z } from "@hono/zod-openapi";
import {
  DEFAULT_REPLAY_RATE,
  MOST_REPLAY_RATE,
  Replay,
  ReplayPlace,
  type ReplayReport,
  ReplaySubjects,
} from "../src/model/replay.ts";
import { Name } from "../src/model/schema/scalars.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import { JobId, waitMs, waitQuery } from "./jobs.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { jsonBody, TenantParams } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";
import { seesPayloads } from "./visible.ts";

const common = { tags: ["replays"], security: BEARER };
const PATH = "/v1/tenants/{tenant}/replays" as const;
const Params = TenantParams.extend({ replay: JobId });
const rate = z.int().positive().max(MOST_REPLAY_RATE);

const Body = z
  .strictObject({
    to: z.union([
      z.strictObject({
        peer: Name,
        policy: Name.optional().meta({ description: "Which export, where several go to the peer" }),
      }),
      z.strictObject({
        local: Name.nullable().meta({
          description:
            "This site's own subscribers hear the events as <tenant>.replay.<name>.<rest>; null: 'again'",
        }),
      }),
    ]),
    origin: Name.optional().meta({ description: "Where they were published; default this site" }),
    from: ReplayPlace.optional().meta({
      description:
        "First sequence of the stream that the export reads, or a time; default: all that is there",
    }),
    until: ReplayPlace.optional().meta({
      description: "Last sequence, or a time; default: what is there now",
    }),
    subjects: ReplaySubjects.optional().meta({ description: "Only events of these subjects" }),
    rate: rate.optional().meta({ description: `Events a second, at most; default ${DEFAULT_REPLAY_RATE}` }),
    dryRun: z.boolean().optional().meta({ description: "Send nothing, count what would be" }),
  })
  .meta({ id: "ReplayBody" });
const Change = z
  .strictObject({ state: z.enum(["running", "paused"]).optional(), rate: rate.optional() })
  .meta({ id: "ReplayChange" });
const Report = Replay.omit({ wanted: true, epoch: true }).meta({ id: "Replay" });

const start = createRoute({
  ...common,
  method: "post",
  path: PATH,
  operationId: "startReplay",
  summary: "Has the policy of now decide events of a range again; what it forwards is sent with a mark",
  description:
    "Each event carries the header Leafmesh-Replay with the id of the replay. To a peer it goes beside the route, never " +
    "into it, and only where the peer's import says replay: true. Follow it with getReplay.",
  request: { params: TenantParams, body: jsonBody(Body) },
  responses: { 202: jsonResponse(Report, "It has started"), default: problemResponse },
});
const list = createRoute({
  ...common,
  method: "get",
  path: PATH,
  operationId: "listReplays",
  summary: "The replays of a tenant, newest first",
  request: { params: TenantParams },
  responses: itemsResponses(Report, "ReplayList"),
});
const show = createRoute({
  ...common,
  method: "get",
  path: `${PATH}/{replay}`,
  operationId: "getReplay",
  summary: "How a replay stands",
  request: {
    params: Params,
    query: waitQuery("when it has ended or is paused"),
  },
  responses: { 200: jsonResponse(Report, "The replay"), default: problemResponse },
});
const change = createRoute({
  ...common,
  method: "patch",
  path: `${PATH}/{replay}`,
  operationId: "changeReplay",
  summary: "Pauses a replay, resumes it, or gives it another rate",
  request: { params: Params, body: jsonBody(Change) },
  responses: { 200: jsonResponse(Report, "How it stands"), default: problemResponse },
});
const cancel = createRoute({
  ...common,
  method: "delete",
  path: `${PATH}/{replay}`,
  operationId: "cancelReplay",
  summary: "Ends a replay; what its peer has not taken yet is not sent",
  request: { params: Params },
  responses: { 200: jsonResponse(Report, "How far it came"), default: problemResponse },
});

export function addReplays(app: Api, { control }: ApiOptions): void {
  app.openapi(
    start,
    async (c) => {
      const { tenant } = c.req.valid("param");
      const { to, origin, from, until, subjects, rate: asked, dryRun = false } = c.req.valid("json");
      requireTenant(control, tenant);
      const report = await control.replays.start(tenant, {
        to: "local" in to ? to : { peer: to.peer, ...(to.policy === undefined ? {} : { policy: to.policy }) },
        ...(origin === undefined ? {} : { origin }),
        ...(from === undefined ? {} : { from }),
        ...(until === undefined ? {} : { until }),
        ...(subjects === undefined ? {} : { subjects }),
        rate: asked ?? DEFAULT_REPLAY_RATE,
        dryRun,
      });
      return c.json(shown(report, seesPayloads(c)), 202);
    },
    refuseInvalid(start.request),
  );
  app.openapi(
    list,
    (c) => {
      const { tenant } = c.req.valid("param");
      requireTenant(control, tenant);
      const items = control.replays.list(tenant).map((report) => shown(report, seesPayloads(c)));
      return c.json({ items }, 200);
    },
    refuseInvalid(list.request),
  );
  app.openapi(
    show,
    async (c) => {
      const { tenant, replay } = c.req.valid("param");
      requireTenant(control, tenant);
      const report = await control.replays.get(tenant, replay, waitMs(c.req.valid("query")));
      return c.json(shown(report, seesPayloads(c)), 200);
    },
    refuseInvalid(show.request),
  );
  app.openapi(
    change,
    async (c) => {
      const { tenant, replay } = c.req.valid("param");
      const { state, rate: asked } = c.req.valid("json");
      requireTenant(control, tenant);
      const report = await control.replays.change(tenant, replay, {
        ...(state === undefined ? {} : { wanted: state === "paused" ? "pause" : "run" }),
        ...(asked === undefined ? {} : { rate: asked }),
      });
      return c.json(shown(report, seesPayloads(c)), 200);
    },
    refuseInvalid(change.request),
  );
  app.openapi(
    cancel,
    async (c) => {
      const { tenant, replay } = c.req.valid("param");
      requireTenant(control, tenant);
      const report = await control.replays.change(tenant, replay, { wanted: "cancel" });
      return c.json(shown(report, seesPayloads(c)), 200);
    },
    refuseInvalid(cancel.request),
  );
}

/** Errors of a policy may quote what an event says: not for who may not see payloads. */
function shown(report: ReplayReport, payloads: boolean): ReplayReport {
  if (payloads) return report;
  return { ...report, samples: report.samples.map((one) => ({ ...one, error: null })) };
}
