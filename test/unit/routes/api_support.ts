/** The API with a control in memory, called without a port. */
import { type ApiLog, type ApiOptions, createApi } from "../../../routes/mod.ts";
import { createFakeControl, type FakeControl } from "./fake_control.ts";
import { createFakeTokens, type FakeTokens } from "./fake_tokens.ts";

export const TOKEN = "the-token";

export interface TestApi {
  readonly app: ReturnType<typeof createApi>;
  readonly control: FakeControl;
  readonly tokens: FakeTokens;
  /** Lines that the API logged. */
  readonly logged: string[];
  /** Calls with the token, and a JSON body where there is one. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
}

export function testApi(
  options: Partial<Pick<ApiOptions, "openMetrics" | "limits" | "knowsHost" | "tls">> = {},
): TestApi {
  const control = createFakeControl();
  const tokens = createFakeTokens(TOKEN);
  const logged: string[] = [];
  const write =
    (level: string): ApiLog["info"] =>
    (message, fields) =>
      logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log: ApiLog = { info: write("info"), warn: write("warn"), error: write("error") };
  const app = createApi({
    control,
    authenticate: async (candidate) => tokens.authenticate(candidate),
    tokens,
    version: "0.1.0",
    log,
    ...options,
  });
  return {
    app,
    control,
    tokens,
    logged,
    async call(method, path, body, headers = {}) {
      const all: Record<string, string> = { authorization: `Bearer ${TOKEN}`, ...headers };
      if (body !== undefined && all["content-type"] === undefined) all["content-type"] = "application/json";
      const text = typeof body === "string" ? body : JSON.stringify(body);
      return await app.request(path, { method, headers: all, ...(body === undefined ? {} : { body: text }) });
    },
  };
}

/** What a problem document says, without what its code says anyway. */
export async function problemOf(
  response: Response,
): Promise<{ code: string; detail: string; problems: string[] }> {
  if (response.headers.get("content-type") !== "application/problem+json") {
    throw new Error(`no problem document: ${response.status} ${await response.text()}`);
  }
  const document = (await response.json()) as {
    code: string;
    type: string;
    status: number;
    detail: string;
    problems?: { path: string; message: string }[];
  };
  if (document.status !== response.status)
    throw new Error(`status ${document.status} in a ${response.status}`);
  if (document.type !== `urn:leafmesh:error:${document.code}`) throw new Error(`type ${document.type}`);
  const problems = (document.problems ?? []).map(({ path, message }) => `${path}: ${message}`);
  return { code: document.code, detail: document.detail, problems };
}
