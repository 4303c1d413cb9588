/** `/v1/alarms`: the dangers that somebody must see to, now. */
import { createRoute, z } from "@hono/zod-openapi";
import { ALARMS, type Alarm, type AlarmName } from "../src/model/alarms.ts";
import { BEARER } from "./auth.ts";
import type { Api, ApiOptions } from "./options.ts";
import { itemsResponses } from "./schema/response.ts";
import { visibleAlarms } from "./visible.ts";

const AlarmSchema: z.ZodType<Alarm> = z
  .object({
    name: z.enum(Object.keys(ALARMS) as [AlarmName, ...AlarmName[]]),
    severity: z.enum(["warning", "critical"]),
    target: z.string().meta({ description: "What is in danger", example: "acme/orders/tokyo" }),
    tenant: z.string().nullable().meta({ description: "Whose admin sees it too" }),
    peer: z.string().nullable(),
    detail: z.string().meta({ description: "What was found, with its numbers" }),
    means: z.string(),
    todo: z.string().meta({ description: "What to do about it, short" }),
    since: z.string().meta({ description: "When this sidecar raised it, RFC 3339" }),
  })
  .meta({ id: "Alarm" });

const list = createRoute({
  method: "get",
  path: "/v1/alarms",
  operationId: "listAlarms",
  summary: "The alarms that are raised now, the critical first",
  tags: ["site"],
  security: BEARER,
  responses: itemsResponses(AlarmSchema, "AlarmList", "One entry an alarm; none is good"),
});

export function addAlarms(app: Api, { control }: ApiOptions): void {
  app.openapi(list, async (c) => c.json({ items: visibleAlarms(c, control.alarms.list()) }, 200));
}
