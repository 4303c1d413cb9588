/** The bearer token in front of everything that shows or changes the site. */
import type { MiddlewareHandler } from "hono";
import { LeafmeshError } from "../src/model/errors.ts";
import { BOOTSTRAP } from "../src/model/principal.ts";
import type { ApiEnv, ApiOptions } from "./options.ts";

/** How operations that need the token say so in the OpenAPI document. */
export const BEARER = [{ bearer: [] as string[] }];

/** Lets a request through that carries the token, and says who asks (`principal`). @throws LeafmeshError `unauthorized` */
export function requireToken({ token, log }: ApiOptions): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const candidate = /^Bearer +([^\s]+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (candidate === undefined) {
      throw new LeafmeshError("unauthorized", "The token is missing: send Authorization: Bearer <token>");
    }
    if (!token(candidate)) {
      log.warn("token refused", { method: c.req.method, path: c.req.path });
      throw new LeafmeshError(
        "unauthorized",
        "The token is wrong: it stands in keys/api.token of the data folder",
      );
    }
    c.set("principal", BOOTSTRAP);
    await next();
  };
}
