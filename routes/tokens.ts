/** `/v1/tokens`: who may call this API. A token is told once, when it is made. */
import { createRoute, z } from "@hono/zod-openapi";
import { LeafmeshError } from "../src/model/errors.ts";
import { BOOTSTRAP } from "../src/model/principal.ts";
import { parseDurationMs } from "../src/model/units.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { problemResponse } from "./problem.ts";
import { jsonBody } from "./schema/request.ts";
import { itemsResponses, jsonResponse } from "./schema/response.ts";
import { DEFAULT_EXPIRY, MadeToken, Token, TokenBody, Whoami } from "./schema/token.ts";

const common = { tags: ["tokens"], security: BEARER };

const whoami = createRoute({
  ...common,
  method: "get",
  path: "/v1/whoami",
  operationId: "whoami",
  summary: "Who the token that is sent stands for",
  responses: { 200: jsonResponse(Whoami, "The principal"), default: problemResponse },
});
const list = createRoute({
  ...common,
  method: "get",
  path: "/v1/tokens",
  operationId: "listTokens",
  summary: "All tokens, without the tokens themselves",
  responses: itemsResponses(Token, "TokenList", "Sorted by name"),
});
const create = createRoute({
  ...common,
  method: "post",
  path: "/v1/tokens",
  operationId: "createToken",
  summary: "Makes a token, and shows it this once",
  request: { body: jsonBody(TokenBody) },
  responses: { 201: jsonResponse(MadeToken, "The token"), default: problemResponse },
});
const remove = createRoute({
  ...common,
  method: "delete",
  path: "/v1/tokens/{id}",
  operationId: "deleteToken",
  summary: "Revokes a token: at once, for what is under way too",
  request: {
    params: z.object({
      id: z
        .string()
        .regex(/^[0-9a-f]{12}$/)
        .meta({ example: "3f9a0c5d17e2" }),
    }),
  },
  responses: { 204: { description: "Revoked" }, default: problemResponse },
});
const rotate = createRoute({
  ...common,
  method: "post",
  path: "/v1/tokens/bootstrap/rotate",
  operationId: "rotateBootstrap",
  summary: "Puts a new bootstrap token in the place of the old one, which ends at once",
  responses: {
    201: jsonResponse(
      z.object({ token: z.string() }).meta({ id: "BootstrapToken" }),
      "The new token; it stands in its file, too",
    ),
    default: problemResponse,
  },
});

export function addTokens(app: Api, { control, tokens, log }: ApiOptions): void {
  app.openapi(whoami, (c) => {
    const principal = c.get("principal");
    if (principal === undefined) throw new LeafmeshError("unauthorized", "The token is missing");
    return c.json({ ...principal, tenant: principal.tenant ?? null }, 200);
  });
  app.openapi(list, (c) => c.json({ items: tokens.list() }, 200));
  app.openapi(
    create,
    async (c) => {
      const { name, role, tenant, expires = DEFAULT_EXPIRY } = c.req.valid("json");
      if (name === BOOTSTRAP.name)
        throw new LeafmeshError("conflict", `The name '${name}' is the bootstrap token's`);
      if (tenant !== undefined) requireTenant(control, tenant);
      const made = await tokens.add({
        name,
        role,
        ...(tenant === undefined ? {} : { tenant }),
        ttlMs: parseDurationMs(expires) ?? 0,
        createdBy: c.get("principal")?.name ?? "",
      });
      log.info("token made", { id: made.info.id, name, role, expires: made.info.expiresAt });
      return c.json(made, 201);
    },
    refuseInvalid(create.request),
  );
  app.openapi(
    remove,
    async (c) => {
      const { id, name } = await tokens.revoke(c.req.valid("param").id);
      log.info("token revoked", { id, name });
      return c.body(null, 204);
    },
    refuseInvalid(remove.request),
  );
  app.openapi(rotate, async (c) => {
    const token = await tokens.rotateBootstrap();
    log.info("bootstrap token replaced", {});
    return c.json({ token }, 201);
  });
}
