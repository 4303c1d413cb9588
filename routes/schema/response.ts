/** Parts of responses that many operations share. */
import { z } from "@hono/zod-openapi";
import { problemResponse } from "../problem.ts";

/** A JSON response of a schema. */
export function jsonResponse<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } } as const;
}

const etagHeader = { ETag: { schema: { type: "string" as const }, description: "Revision of the document" } };

/** What reading a document may answer. */
export function readResponses<T extends z.ZodType>(schema: T) {
  return {
    200: { ...jsonResponse(schema, "The document"), headers: etagHeader },
    304: { description: "The client has the current document" },
    default: problemResponse,
  } as const;
}

/** What writing a document may answer. */
export function writeResponses<T extends z.ZodType>(schema: T) {
  return {
    200: { ...jsonResponse(schema, "Changed"), headers: etagHeader },
    201: { ...jsonResponse(schema, "Created"), headers: etagHeader },
    412: { ...problemResponse, description: "It has changed since it was read; ETag names the current one" },
    428: { ...problemResponse, description: "It exists: If-Match is required" },
    default: problemResponse,
  } as const;
}

/** What removing a document may answer. */
export const removeResponses = {
  204: { description: "Removed" },
  412: { ...problemResponse, description: "It has changed since it was read; ETag names the current one" },
  428: { ...problemResponse, description: "If-Match is required" },
  default: problemResponse,
} as const;

/** A list of documents, each with the revision that its ETag would name. @param id name of the list's schema */
export function listResponses<T extends z.ZodType>(schema: T, id: string) {
  const list = z
    .object({ items: z.array(z.object({ revision: z.int(), changedAt: z.string(), value: schema })) })
    .meta({ id });
  return { 200: jsonResponse(list, "All, sorted by name"), default: problemResponse } as const;
}

/** A list of reports: they have no revision. @param id name of the list's schema */
export function itemsResponses<T extends z.ZodType>(schema: T, id: string, description = "All") {
  const list = z.object({ items: z.array(schema).readonly() }).meta({ id });
  return { 200: jsonResponse(list, description), default: problemResponse } as const;
}
