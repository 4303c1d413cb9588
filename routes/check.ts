/** Turns what a schema has against a request into one error with all problems. */
import type { Context } from "hono";
import type { ZodError, ZodType } from "zod";
import { type ErrorCode, LeafmeshError, type Problem } from "../src/model/errors.ts";
import { schemaProblemList } from "../src/model/schema_problems.ts";

interface Checked {
  readonly success: boolean;
  readonly target: string;
  readonly error?: ZodError;
}

/** The schemas of a route's request, as `createRoute` takes them. */
interface RequestSchemas {
  readonly params?: ZodType;
  readonly query?: ZodType;
  readonly headers?: ZodType;
  readonly body?: { readonly content: { readonly "application/json": { readonly schema: ZodType } } };
}

/**
 * The hook of a route: throws `request_invalid` for path, query and header, `bodyCode` for the body.
 *
 * @param request the schemas that the route was made with: they know the keys to suggest
 */
export function refuseInvalid(
  request: RequestSchemas,
  bodyCode: ErrorCode = "request_invalid",
): (result: Checked, c: Context) => Promise<never> | undefined {
  return (result, c) =>
    result.error === undefined ? undefined : refuse(result.error, result.target, request, bodyCode, c);
}

/** The error for a body that a schema refuses. */
export function invalidRequest(code: ErrorCode, what: string, problems: readonly Problem[]): LeafmeshError {
  const [first] = problems;
  const text =
    problems.length === 1 && first !== undefined
      ? `${first.path === "" ? "" : `${first.path} `}${first.message}`
      : `${problems.length} problems`;
  return new LeafmeshError(code, `${what} is not valid: ${text}`, { problems });
}

async function refuse(
  error: ZodError,
  target: string,
  request: RequestSchemas,
  bodyCode: ErrorCode,
  c: Context,
): Promise<never> {
  switch (target) {
    case "json": {
      const schema = request.body?.content["application/json"].schema;
      throw invalidRequest(bodyCode, "The body", problemsOf(schema, await bodyOf(c), error));
    }
    case "param":
      throw invalidRequest("request_invalid", "The path", problemsOf(request.params, c.req.param(), error));
    case "query":
      throw invalidRequest("request_invalid", "The query", problemsOf(request.query, c.req.query(), error));
    default:
      throw invalidRequest(
        "request_invalid",
        "The header",
        problemsOf(request.headers, c.req.header(), error),
      );
  }
}

/** @throws LeafmeshError `request_invalid` for a request without a body: it has no Content-Type that would have been refused */
async function bodyOf(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch (cause) {
    const text = "The body is missing, or no JSON: send it as application/json";
    throw new LeafmeshError("request_invalid", text, { cause });
  }
}

function problemsOf(schema: ZodType | undefined, input: unknown, error: ZodError): Problem[] {
  return schema === undefined ? [] : schemaProblemList(schema, input, error);
}
