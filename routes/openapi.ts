/** `/openapi.json`, and `/`: the same for people. */
import { createRoute, z } from "@hono/zod-openapi";
import type { Api, ApiOptions } from "./options.ts";
import { renderPage } from "./page.ts";

/** The OpenAPI 3.1 document of an API. */
export type OpenApiDocument = ReturnType<Api["getOpenAPI31Document"]>;

const ABOUT =
  "The admin API of a sidecar. Every write to a document that exists carries the ETag that was read (If-Match); " +
  "errors are problem documents of RFC 9457 with a stable code.";

const json = createRoute({
  method: "get",
  path: "/openapi.json",
  operationId: "openapi",
  summary: "This API as an OpenAPI 3.1 document",
  tags: ["documents"],
  responses: {
    200: { description: "The document", content: { "application/json": { schema: z.unknown() } } },
  },
});
const page = createRoute({
  method: "get",
  path: "/",
  operationId: "page",
  summary: "This API as a page to read",
  tags: ["documents"],
  responses: { 200: { description: "The page", content: { "text/html": { schema: z.string() } } } },
});

export function addOpenApi(app: Api, { version }: ApiOptions): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "The admin token: keys/api.token in the data folder",
  });
  let document: OpenApiDocument | undefined;
  const documentOnce = (): OpenApiDocument => {
    document ??= app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: { title: "Leafmesh", version, description: ABOUT },
      servers: [{ url: "/" }],
    });
    return document;
  };
  app.openapi(json, (c) => c.json(documentOnce(), 200));
  app.openapi(page, (c) => {
    const { html, policy } = renderPage(documentOnce());
    c.header("Content-Security-Policy", policy);
    return c.html(html, 200);
  });
}
