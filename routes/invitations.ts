/** `/v1/invitations` and `/v1/joins`: two sites become peers with one token. */
import { createRoute, z } from "@hono/zod-openapi";
import { parseDurationMs } from "../src/model/units.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { Invitation, InviteBody, Invited, JoinBody, JoinReport } from "./schema/join.ts";
import { jsonBody } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";

const DEFAULT_TTL_MS = 15 * 60_000;
const common = { tags: ["peers"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/invitations",
  operationId: "listInvitations",
  summary: "Invitations that are open or were lately, the newest first; never their tokens",
  responses: itemsResponses(Invitation, "InvitationList", "The invitations"),
});
const invite = createRoute({
  ...common,
  method: "post",
  path: "/v1/invitations",
  operationId: "createInvitation",
  summary: "Invites a site: one token, for one use, for a short time",
  request: { body: jsonBody(InviteBody) },
  responses: { 201: jsonResponse(Invited, "The invitation with its token"), default: problemResponse },
});
const revoke = createRoute({
  ...common,
  method: "delete",
  path: "/v1/invitations/{invitation}",
  operationId: "deleteInvitation",
  summary: "Closes an invitation at once",
  request: { params: z.object({ invitation: z.string().regex(/^[0-9a-f]{1,64}$/) }) },
  responses: { 204: { description: "Closed" }, default: problemResponse },
});
const join = createRoute({
  ...common,
  method: "post",
  path: "/v1/joins",
  operationId: "join",
  summary: "Joins the site that an invitation is of, or shows what that would trust",
  request: { body: jsonBody(JoinBody) },
  responses: { 200: jsonResponse(JoinReport, "What is trusted"), default: problemResponse },
});

export function addInvitations(app: Api, { control }: ApiOptions): void {
  const { membership } = control;
  app.openapi(list, (c) => c.json({ items: membership.invitations() }, 200));
  app.openapi(
    invite,
    async (c) => {
      const { site, expires, address } = c.req.valid("json");
      const by = c.get("principal")?.name;
      const made = await membership.invite({
        site,
        ttlMs: expires === undefined ? DEFAULT_TTL_MS : (parseDurationMs(expires) ?? DEFAULT_TTL_MS),
        ...(address === undefined ? {} : { address }),
        ...(by === undefined ? {} : { by }),
      });
      return c.json(made, 201);
    },
    refuseInvalid(invite.request),
  );
  app.openapi(
    revoke,
    async (c) => {
      await membership.revokeInvitation(c.req.valid("param").invitation);
      return c.body(null, 204);
    },
    refuseInvalid(revoke.request),
  );
  app.openapi(
    join,
    async (c) => {
      const { token, preview, dialBack } = c.req.valid("json");
      const request = { token, ...(dialBack === undefined ? {} : { dialBack }) };
      if (preview === true)
        return c.json({ ...membership.preview(request), linked: null, linkedMs: null }, 200);
      return c.json(await membership.join(request), 200);
    },
    refuseInvalid(join.request),
  );
}
