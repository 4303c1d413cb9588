/** `/v1/tenants/{tenant}/users`: who may connect, as what, and who is connected. They change with the tenant's document. */
import { createRoute, z } from "@hono/zod-openapi";
import type { UserReport } from "../src/control/api.ts";
import { ROLES } from "../src/model/schema/user.ts";
import { BEARER } from "./auth.ts";
import { refuseInvalid } from "./check.ts";
import { requireTenant } from "./documents.ts";
import type { Api, ApiOptions } from "./options.ts";
import { TenantParams } from "./schema/request.ts";
import { itemsResponses } from "./schema/response.ts";

const User: z.ZodType<UserReport> = z
  .object({
    name: z.string().meta({ example: "billing" }),
    role: z.enum(ROLES),
    kind: z.enum(["nkey", "password"]),
    login: z.string().meta({ description: "Its public key, or the name that it logs in with" }),
    subjects: z.array(z.string()).readonly().nullable().meta({ description: "null: as its role has them" }),
    consumer: z.string().nullable().meta({ description: "Its durable consumer on the tenant's log" }),
    expires: z.string().nullable(),
    expired: z.boolean(),
    connections: z.int().meta({ description: "Open now" }),
  })
  .meta({ id: "TenantUserReport" });

const list = createRoute({
  tags: ["tenants"],
  security: BEARER,
  method: "get",
  path: "/v1/tenants/{tenant}/users",
  operationId: "listUsers",
  summary: "A tenant's users with their open connections",
  request: { params: TenantParams },
  responses: itemsResponses(User, "TenantUserList", "The users"),
});

export function addUsers(app: Api, { control }: ApiOptions): void {
  app.openapi(
    list,
    async (c) => {
      const { tenant } = c.req.valid("param");
      requireTenant(control, tenant);
      return c.json({ items: await control.users(tenant) }, 200);
    },
    refuseInvalid(list.request),
  );
}
