/** The one place where errors become responses: problem documents of RFC 9457. */
import { z } from "@hono/zod-openapi";
import type { Context, ErrorHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { type ErrorCode, errorText, errorTitle, httpStatus, LeafmeshError } from "../src/model/errors.ts";
import { withoutSecrets } from "../src/model/secrets.ts";
import type { Api, ApiEnv, ApiOptions } from "./options.ts";
import { visibleError } from "./visible.ts";

/** A problem document. `code` is stable: branch on it, never on text. */
export const ProblemDocument = z
  .object({
    type: z.string().meta({ example: "urn:leafmesh:error:not_found" }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().meta({ example: "not_found" }),
    problems: z
      .array(
        z.object({
          path: z.string().meta({ example: "rules[0].subjects[1]" }),
          message: z.string(),
          line: z.int().optional(),
          column: z.int().optional(),
          code: z.string().optional().meta({ description: "The check that found it", example: "loop" }),
        }),
      )
      .optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457: what went wrong" });

/** The `default` response of every operation. */
export const problemResponse = {
  description: "What went wrong",
  content: { "application/problem+json": { schema: ProblemDocument } },
} as const;

type ProblemStatus = ReturnType<typeof httpStatus> | 405 | 414 | 415 | 431;

/** Writes a problem document. Headers that the handler has set, such as ETag, stay. */
export function writeProblem(
  c: Context,
  error: LeafmeshError,
  status: ProblemStatus = httpStatus(error.code),
): Response {
  const document: z.output<typeof ProblemDocument> = {
    type: `urn:leafmesh:error:${error.code}`,
    title: errorTitle(error.code),
    status,
    detail: withoutSecrets(error.message),
    code: error.code,
    ...(error.problems.length === 0 ? {} : { problems: [...error.problems] }),
  };
  if (error.code === "unauthorized") c.header("WWW-Authenticate", 'Bearer realm="leafmesh"');
  return c.body(JSON.stringify(document), status, { "Content-Type": "application/problem+json" });
}

/** Turns anything thrown into a problem document; what was not foreseen is logged and not shown. */
export function errorWriter({ log }: Pick<ApiOptions, "log">): ErrorHandler<ApiEnv> {
  return (thrown, c) => {
    if (thrown instanceof LeafmeshError) {
      if (httpStatus(thrown.code) >= 500) logFailure(log, c, thrown.code, thrown);
      return writeProblem(c, visibleError(c, thrown));
    }
    if (thrown instanceof HTTPException && thrown.status < 500) {
      const [code, text, status] = refused(thrown, c);
      return writeProblem(c, new LeafmeshError(code, text, { cause: thrown }), status);
    }
    logFailure(log, c, "internal", thrown);
    return writeProblem(
      c,
      new LeafmeshError("internal", "Unexpected failure: the sidecar's log has the details"),
    );
  };
}

/** Answers for what has no handler: 405 with `Allow` where another method has one, else 404. */
export function addNotFound(app: Api): void {
  app.notFound((c) => {
    const methods = methodsOf(app, c.req.path);
    if (methods.length === 0) {
      return writeProblem(c, new LeafmeshError("not_found", `There is no ${c.req.path}: see /openapi.json`));
    }
    c.header("Allow", methods.join(", "));
    const text = `${c.req.method} is not for ${c.req.path}: use ${methods.join(", ")}`;
    return writeProblem(c, new LeafmeshError("request_invalid", text), 405);
  });
}

function logFailure(log: ApiOptions["log"], c: Context, code: ErrorCode, thrown: unknown): void {
  const error = withoutSecrets(errorText(thrown));
  log.error("request failed", { method: c.req.method, path: c.req.path, code, error });
}

function refused(thrown: HTTPException, c: Context): [ErrorCode, string, ProblemStatus] {
  if (thrown.status === 415) {
    const type = c.req.header("content-type") ?? "none";
    return ["request_invalid", `Content-Type is '${type}', expected application/json`, 415];
  }
  if (thrown.status === 413) return ["too_large", "The body is too large", 413];
  return ["request_invalid", thrown.message === "" ? "The request cannot be read" : thrown.message, 400];
}

function methodsOf(app: Api, path: string): string[] {
  const found = new Set<string>();
  for (const route of app.routes) {
    if (route.method === "ALL") continue;
    const pattern = route.path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(/:[^/]+/g, "[^/]+");
    if (new RegExp(`^${pattern}$`).test(path)) found.add(route.method);
  }
  if (found.has("GET")) found.add("HEAD");
  return [...found].sort();
}
