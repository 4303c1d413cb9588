/** `/v1/rotations`: another certificate, CA or key of this site, without losing an event. */
import { createRoute, z } from "@hono/zod-openapi";
import { LeafmeshError } from "../src/model/errors.ts";
import { RotationKind } from "../src/model/rotation.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { jsonBody } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";
import { RotateBody, RotationDocument } from "./schema/rotation.ts";

/** Longest that an answer waits for peers. */
const WAIT_MS = 25_000;
const common = { tags: ["peers"], security: BEARER };
const params = z.object({ what: RotationKind });

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/rotations",
  operationId: "listRotations",
  summary: "The last rotation of each kind, the newest first, with the peers that are waited for",
  responses: itemsResponses(RotationDocument, "RotationList", "The rotations"),
});
const get = createRoute({
  ...common,
  method: "get",
  path: "/v1/rotations/{what}",
  operationId: "getRotation",
  summary: "The last rotation of a kind",
  request: {
    params,
    query: z.strictObject({
      wait: z
        .enum(["true", "false"])
        .optional()
        .meta({ description: "Answer when it is done, or a while later" }),
    }),
  },
  responses: { 200: jsonResponse(RotationDocument, "The rotation"), default: problemResponse },
});
const start = createRoute({
  ...common,
  method: "post",
  path: "/v1/rotations",
  operationId: "startRotation",
  summary: "Begins a rotation, or goes on with the one of this kind that is open",
  request: { body: jsonBody(RotateBody) },
  responses: { 202: jsonResponse(RotationDocument, "It is under way"), default: problemResponse },
});
const finish = createRoute({
  ...common,
  method: "post",
  path: "/v1/rotations/{what}/finish",
  operationId: "finishRotation",
  summary: "Goes on without the peers that are waited for, and says what their operators must do",
  request: { params },
  responses: { 202: jsonResponse(RotationDocument, "It goes on"), default: problemResponse },
});

export function addRotations(app: Api, { control }: ApiOptions): void {
  app.openapi(list, (c) => c.json({ items: control.rotations.list() }, 200));
  app.openapi(
    get,
    async (c) => {
      const { what } = c.req.valid("param");
      const waitMs = c.req.valid("query").wait === "true" ? WAIT_MS : 0;
      const found = await control.rotations.settled(what, waitMs);
      if (found === null) throw new LeafmeshError("not_found", `There was no rotation of the ${what}`);
      return c.json(found, 200);
    },
    refuseInvalid(get.request),
  );
  app.openapi(
    start,
    async (c) => {
      const { what, peers } = c.req.valid("json");
      const by = c.get("principal")?.name;
      const begun = await control.rotations.start({
        what,
        ...(peers === undefined || peers.length === 0 ? {} : { peers }),
        ...(by === undefined ? {} : { by }),
      });
      return c.json(begun, 202);
    },
    refuseInvalid(start.request),
  );
  app.openapi(
    finish,
    async (c) => c.json(await control.rotations.finish(c.req.valid("param").what), 202),
    refuseInvalid(finish.request),
  );
}
