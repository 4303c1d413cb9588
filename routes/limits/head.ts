/** What a request may be before anything of it is looked at: its host, its URL, its headers. */
import type { MiddlewareHandler } from "hono";
import { LeafmeshError } from "../../src/model/errors.ts";
import type { ApiEnv, ApiOptions } from "../options.ts";
import { writeProblem } from "../problem.ts";

const MAX_URL = 8192;
const MAX_HEADERS = 16_384;

/** @throws LeafmeshError `wrong_host`, `too_large` */
export function requireHead({ knowsHost }: Pick<ApiOptions, "knowsHost">): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    if (c.req.url.length > MAX_URL) {
      return writeProblem(
        c,
        new LeafmeshError("too_large", `The URL is longer than ${MAX_URL} characters`),
        414,
      );
    }
    let length = 0;
    c.req.raw.headers.forEach((value, name) => {
      length += name.length + value.length + 4;
    });
    if (length > MAX_HEADERS) {
      return writeProblem(
        c,
        new LeafmeshError("too_large", `The headers are longer than ${MAX_HEADERS} bytes`),
        431,
      );
    }
    const host = hostOf(c.req.header("host") ?? new URL(c.req.url).host);
    if (knowsHost !== undefined && !knowsHost(host)) {
      throw new LeafmeshError(
        "wrong_host",
        `The request is for another host: name this one by its address, or list its name in api.hosts`,
      );
    }
    await next();
    // What still comes of a body that nobody reads ends with the connection.
    if (c.get("bodyRead") !== true && hasBody(c.req.raw.headers)) c.header("Connection", "close");
    return;
  };
}

function hasBody(headers: Headers): boolean {
  return (headers.get("content-length") ?? "0") !== "0" || headers.has("transfer-encoding");
}

/** A host without its port, in lower case. */
function hostOf(header: string): string {
  return header.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
}
