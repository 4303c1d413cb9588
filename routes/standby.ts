/** The HTTP API of a sidecar that does not lead: it answers for itself, and hands everything else to the one that leads. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { secureHeaders } from "hono/secure-headers";
import { LeafmeshError } from "../src/model/errors.ts";
import type { VersionHeader } from "./answers.ts";
import { readBody } from "./limits/body.ts";
import { Gate } from "./limits/gate.ts";
import { requireHead } from "./limits/head.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import { errorWriter, writeProblem } from "./problem.ts";

/** A request as it is handed over: the asker's own words, and where they came from. */
export interface ForwardedRequest {
  readonly method: string;
  /** Path with the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly address: string;
  readonly body: Uint8Array;
}

export interface StandbyOptions extends Pick<ApiOptions, "knowsHost" | "log" | "version" | "tls" | "limits"> {
  /** Why it is not ready; none: it is. Told to everybody. */
  readonly reasons: () => Promise<readonly string[]>;
  /** Prometheus text about this sidecar alone. */
  readonly metrics: () => string;
  /** @throws LeafmeshError `no_leader`, `timeout`, `too_large` */
  readonly forward: (request: ForwardedRequest) => Promise<Response>;
}

const OWN_PATHS: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);
const AGAIN_SECONDS = "1";
const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";
/** Of one connection: they mean nothing to the other sidecar. */
const OWN_HEADERS = new Set([
  "host",
  "connection",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "upgrade",
]);

/** Builds the API of a sidecar that stands by. Serve its `fetch`. */
export function createStandbyApi(options: StandbyOptions): Api {
  const app: Api = new OpenAPIHono<ApiEnv>();
  const writeError = errorWriter(options);
  app.onError((thrown, c) => {
    if (thrown instanceof LeafmeshError && isPassing(thrown)) {
      c.header("Retry-After", AGAIN_SECONDS);
      return writeProblem(c, thrown, 503);
    }
    return writeError(thrown, c);
  });
  app.use(
    secureHeaders({ strictTransportSecurity: options.tls === true, xFrameOptions: "DENY" }),
    async (c, next) => {
      c.header("Cache-Control", "no-store");
      c.header("Leafmesh-Version" satisfies VersionHeader, options.version);
      await next();
    },
  );
  app.use(requireHead(options));
  const gate = new Gate(options.limits);
  const read = readBody(options.limits);
  app.use(async (c, next) => {
    const own = OWN_PATHS.has(c.req.path);
    // Who has no token is counted here already, and nothing that it sends is read: the one that leads refuses it by its head.
    if (own || c.req.header("authorization") === undefined) await gate.open(c, next);
    else await read(c, next);
  });
  app.get("/healthz", (c) => c.json({ ok: true }, 200));
  app.get("/readyz", async (c) => {
    const reasons = await options.reasons();
    const ready = reasons.length === 0;
    return c.json({ ready, reasons }, ready ? 200 : 503);
  });
  app.get("/metrics", (c) => c.text(options.metrics(), 200, { "Content-Type": PROMETHEUS }));
  app.all("*", async (c) => {
    const { method, url, raw } = { method: c.req.method, url: new URL(c.req.url), raw: c.req.raw };
    const headers: Record<string, string> = {};
    raw.headers.forEach((value, name) => {
      if (!OWN_HEADERS.has(name.toLowerCase())) headers[name] = value;
    });
    const body = c.get("bodyRead") === true ? new Uint8Array(await c.req.arrayBuffer()) : new Uint8Array();
    const address = c.env?.address ?? "";
    return await options.forward({ method, path: `${url.pathname}${url.search}`, headers, address, body });
  });
  return app;
}

/** While nobody leads, or the one that led has gone in the middle: it is worth asking again. */
function isPassing({ code }: LeafmeshError): boolean {
  return code === "no_leader";
}
