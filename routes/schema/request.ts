/** Parts of requests that many operations share: names in paths, preconditions, and the documents that are written. */
import { z } from "@hono/zod-openapi";
import { ImportPolicy, NamedElsewhereExport } from "../../src/model/schema/policy.ts";
import { Name } from "../../src/model/schema/scalars.ts";
import { PeerDocument } from "../../src/model/schema/site.ts";
import { TenantSettings } from "../../src/model/schema/tenant.ts";

export const TenantParams = z.object({ tenant: Name.meta({ example: "acme" }) });
export const ExportParams = TenantParams.extend({ name: Name.meta({ example: "eu-orders" }) });
export const ImportParams = TenantParams.extend({ peer: Name.meta({ example: "tokyo" }) });
export const PeerParams = z.object({ peer: Name.meta({ example: "tokyo" }) });

const OriginQuery = z.strictObject({
  origin: Name.optional().meta({ description: "Transit: the site whose events come through the peer" }),
});
const WaitQuery = z.strictObject({
  wait: z.enum(["true", "false"]).optional().meta({
    description: "Apply before answering; the header Leafmesh-Applied says whether nothing is left to do",
  }),
});

export const ReadHeaders = z.object({
  "if-none-match": z
    .string()
    .optional()
    .meta({ description: "ETag that the client has: 304 when it is current" }),
});
export const WriteHeaders = z.object({
  "if-match": z.string().optional().meta({
    description: "ETag that was read, or * for any; needed when the document exists",
  }),
  "if-none-match": z.string().optional().meta({ description: "*: create only" }),
});
export { OriginQuery, WaitQuery };
export const OriginWaitQuery = WaitQuery.extend(OriginQuery.shape);

const inPath = { description: "As in the URL; may be left out" };
/** What `PUT` takes: the document itself, its name optional because the URL has it. */
export const TenantBody = TenantSettings.extend({ tenant: Name.optional().meta(inPath) }).meta({
  id: "Tenant",
  description: "Settings of a tenant; exports and imports are resources of their own",
});
export const ExportBody = NamedElsewhereExport.meta({ id: "ExportBody" });
export const ImportBody = ImportPolicy.extend({ from: Name.optional().meta(inPath) }).meta({
  id: "ImportBody",
});
export const PeerBody = PeerDocument.extend({ name: Name.optional().meta(inPath) }).meta({ id: "PeerBody" });

/** A whole number in a path or a query: digits alone, not all that JavaScript reads as a number. */
export function wholeNumber(schema: z.ZodInt) {
  return z
    .string()
    .regex(/^[0-9]+$/, { error: ({ input }) => `'${String(input)}' is no whole number (expected digits)` })
    .transform(Number)
    .pipe(schema);
}

/** A JSON body of a schema, required. */
export function jsonBody<T extends z.ZodType>(schema: T) {
  return { required: true, content: { "application/json": { schema } } } as const;
}
