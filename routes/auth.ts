/** In front of everything that shows or changes the site: who asks, and whether they may. */
import type { Context, MiddlewareHandler } from "hono";
import { LeafmeshError } from "../src/model/errors.ts";
import type { Grant, Principal } from "../src/model/principal.ts";
import { ACCESS, type Access } from "./authorization.ts";
import type { Gate } from "./limits/gate.ts";
import { type FoundOperation, operationFinder } from "./operation.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import { noTenant } from "./visible.ts";

/** How operations that need a token say so in the OpenAPI document. */
export const BEARER = [{ bearer: [] as string[] }];

/** Longest token that is looked at. */
const MAX_TOKEN = 8192;
/** Answers that go on for as long as they are read. */
const STREAMS = /event-stream|jsonl|ndjson|json-seq/;

/**
 * Lets a request through whose principal may call the operation, and says who it is (`principal`).
 *
 * @throws LeafmeshError `unauthorized` without a token that holds, `forbidden` for a role that may not call it, `not_found`
 * for a tenant-admin at another tenant, `rate_limited`
 */
export function requireAccess(app: Api, options: ApiOptions, gate: Gate): MiddlewareHandler<ApiEnv> {
  const operationOf = operationFinder(app);
  return async (c, next) => {
    const operation = operationOf(c);
    if (operation !== null) c.set("operation", operation.id);
    const access = accessOf(operation, options);
    if (access?.type === "open") return await gate.open(c, next);
    // A path that no operation has: who has no token is not told that.
    if (operation === null && !/^\/v1(?:\/|$)/.test(c.req.path)) return await gate.open(c, next);
    if (access?.type === "told" && c.req.header("authorization") === undefined)
      return await gate.open(c, next);
    const grant = await grantOf(c, options, gate);
    c.set("principal", grant.principal);
    if (operation !== null) requireAllowed(c, operation, access, grant.principal, options);
    return await gate.admit(c, grant.principal, () => whileHeld(c, grant.signal, next));
  };
}

function accessOf(operation: FoundOperation | null, { openMetrics }: ApiOptions): Access | undefined {
  if (operation === null || !Object.hasOwn(ACCESS, operation.id)) return undefined;
  if (operation.id === "metrics" && openMetrics === true) return { type: "open" };
  return ACCESS[operation.id];
}

async function grantOf(c: Context<ApiEnv>, options: ApiOptions, gate: Gate): Promise<Grant> {
  const { method, path } = c.req;
  const refuse = (why: string, message: string): never => {
    // Those that go on with wrong tokens fill no log.
    if (!gate.mayFail(c)) throw gate.tooMany(c, "Too many wrong tokens from this address");
    options.log.warn("token refused", { method, path, why, from: c.env?.address ?? "" });
    throw new LeafmeshError("unauthorized", message);
  };
  if (/[?&](?:access_token|token)=/.test(c.req.url)) {
    return refuse(
      "in the URL",
      "A token in the URL is refused, it stands in logs now: revoke it, and send Authorization: Bearer <token>",
    );
  }
  const candidate = /^Bearer +([^\s]+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  if (candidate === undefined) {
    gate.anonymous(c);
    throw new LeafmeshError("unauthorized", "The token is missing: send Authorization: Bearer <token>");
  }
  if (candidate.length > MAX_TOKEN)
    return refuse("too long", `The token is longer than ${MAX_TOKEN} characters`);
  let grant: Grant | null;
  try {
    grant = await options.authenticate(candidate);
  } catch (thrown) {
    if (!(thrown instanceof LeafmeshError) || thrown.code !== "unauthorized") throw thrown;
    return refuse("not valid", thrown.message);
  }
  return grant ?? refuse("wrong", "The token is wrong: it was revoked, or is another site's");
}

/** @throws LeafmeshError `forbidden`, `not_found` */
function requireAllowed(
  c: Context<ApiEnv>,
  { id, tenant }: FoundOperation,
  access: Access | undefined,
  principal: Principal,
  { log }: ApiOptions,
): void {
  const { role } = principal;
  const denied = () => {
    c.set("denied", true);
    log.warn("not allowed", { operation: id, path: c.req.path, who: principal.name, role });
  };
  // First: whether the tenant is there and what may be done with it is the same to one that it is not.
  if (role === "tenant-admin" && tenant !== null && tenant !== principal.tenant) {
    denied();
    throw noTenant(tenant);
  }
  if (access?.type === "told" || access?.type === "open") return;
  if (access?.roles.includes(role) === true && (access.type !== "tenant" || tenant !== null)) return;
  denied();
  throw new LeafmeshError("forbidden", `The role ${role} of '${principal.name}' may not call ${id}`);
}

/** Ends what is under way when the token holds no more. @throws LeafmeshError `unauthorized` */
async function whileHeld(c: Context<ApiEnv>, signal: AbortSignal, next: () => Promise<void>): Promise<void> {
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => undefined);
  const end = () => gone.reject(new LeafmeshError("unauthorized", "The token was revoked, or has expired"));
  if (signal.aborted) end();
  signal.addEventListener("abort", end);
  try {
    await Promise.race([next(), gone.promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
  const { body } = c.res;
  if (body === null || !STREAMS.test(c.res.headers.get("content-type") ?? "")) return;
  c.res = new Response(body.pipeThrough(new TransformStream(), { signal }), c.res);
}
