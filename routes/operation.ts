/** Which operation a request is for: what stands in the OpenAPI document, found before anything of it runs. */
import type { Context } from "hono";
import { matchedRoutes } from "hono/route";
import type { Api, ApiEnv } from "./options.ts";

/** An operation as a request has met it. */
export interface FoundOperation {
  readonly id: string;
  /** The `{tenant}` of its path, as it came; `null` where the path has none. */
  readonly tenant: string | null;
}

/** Finds the operation of a request; `null` for a path or method that has none. */
export function operationFinder(app: Api): (c: Context<ApiEnv>) => FoundOperation | null {
  let ids: ReadonlyMap<string, string> | undefined;
  return (c) => {
    ids ??= operationIds(app);
    // Hono runs the first handler that matches, and takes HEAD for GET.
    const route = matchedRoutes(c).find(({ method }) => method !== "ALL");
    if (route === undefined) return null;
    // A route that no document lists has no row in the table either: it is refused.
    const id = ids.get(`${route.method} ${route.path}`) ?? `${route.method} ${route.path}`;
    const place = route.path.split("/").indexOf(":tenant");
    return { id, tenant: place < 0 ? null : (c.req.path.split("/")[place] ?? "") };
  };
}

function operationIds(app: Api): Map<string, string> {
  const ids = new Map<string, string>();
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { method, path, operationId } = definition.route;
    if (operationId === undefined) continue;
    ids.set(`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`, operationId);
  }
  return ids;
}
