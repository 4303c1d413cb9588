/** `/v1/peers`: the sites that this one has a link with. */
import { createRoute, z } from "@hono/zod-openapi";
import { PeerDocument } from "../src/model/schema/site.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import {
  listDocuments,
  meetsPrecondition,
  readDocument,
  removeDocument,
  requireSame,
  writeDocument,
} from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { RevokeReport } from "./schema/join.ts";
import { jsonBody, PeerBody, PeerParams, ReadHeaders, WaitQuery, WriteHeaders } from "./schema/request.ts";
import {
  jsonResponse,
  listResponses,
  readResponses,
  removeResponses,
  writeResponses,
} from "./schema/response.ts";

const path = "/v1/peers/{peer}";
const ForceQuery = WaitQuery.extend({
  force: z
    .enum(["true", "false"])
    .optional()
    .meta({ description: "Even if the key was revoked: it is forgiven" }),
});
const common = { tags: ["peers"], security: BEARER };

const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/peers",
  operationId: "listPeers",
  summary: "All peers",
  responses: listResponses(PeerDocument, "PeerList"),
});
const get = createRoute({
  ...common,
  method: "get",
  path,
  operationId: "getPeer",
  summary: "One peer",
  request: { params: PeerParams, headers: ReadHeaders },
  responses: readResponses(PeerDocument),
});
const put = createRoute({
  ...common,
  method: "put",
  path,
  operationId: "putPeer",
  summary: "Links with a site, or changes how",
  request: { params: PeerParams, query: ForceQuery, headers: WriteHeaders, body: jsonBody(PeerBody) },
  responses: writeResponses(PeerDocument),
});
const remove = createRoute({
  ...common,
  method: "delete",
  path,
  operationId: "deletePeer",
  summary: "Cuts the link with a peer",
  request: { params: PeerParams, query: WaitQuery, headers: WriteHeaders },
  responses: removeResponses,
});

const revoke = createRoute({
  ...common,
  method: "post",
  path: `${path}/revoke`,
  operationId: "revokePeer",
  summary: "Cuts the link with a peer at once and remembers its key, so that it cannot come back unseen",
  request: { params: PeerParams },
  responses: { 200: jsonResponse(RevokeReport, "The link is cut"), default: problemResponse },
});

export function addPeers(app: Api, options: ApiOptions): void {
  app.openapi(list, (c) => {
    const items = listDocuments(options, "peer").map(({ ref: _ref, ...item }) => item);
    return c.json({ items }, 200);
  });
  app.openapi(
    get,
    (c) => readDocument(c, options, { type: "peer", ...c.req.valid("param") }),
    refuseInvalid(get.request),
  );
  app.openapi(
    put,
    async (c) => {
      const ref = { type: "peer", ...c.req.valid("param") } as const;
      // Who writes it makes it his own.
      const { invited: _, ...peer } = c.req.valid("json");
      requireSame("name", ref.peer, peer.name);
      const value = { ...peer, name: ref.peer };
      const write = () => writeDocument(c, options, ref, value);
      const keys = [peer.key, ...(peer.nextKey === undefined ? [] : [peer.nextKey])];
      // What is refused for its precondition forgives nobody, not even for a moment.
      const forgives = c.req.valid("query").force === "true" && meetsPrecondition(c, options, ref);
      const status = forgives ? await options.control.membership.forgive(keys, write) : await write();
      return c.json(value, status);
    },
    refuseInvalid(put.request),
  );
  app.openapi(
    revoke,
    async (c) => {
      const { peer } = c.req.valid("param");
      return c.json(await options.control.membership.revoke(peer, c.get("principal")?.name), 200);
    },
    refuseInvalid(revoke.request),
  );
  app.openapi(
    remove,
    (c) => removeDocument(c, options, { type: "peer", ...c.req.valid("param") }),
    refuseInvalid(remove.request),
  );
}
