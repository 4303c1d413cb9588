/** The HTTP client of a sidecar's API: the token goes in, documents with their ETags or errors by their code come out. */
import type { AppliedHeader, VersionHeader } from "../../routes/answers.ts";
import { type ErrorCode, errorText, errorTitle, LeafmeshError, type Problem } from "../model/errors.ts";
import type { Effects } from "./effects.ts";
import type { Token } from "./token.ts";

const TIMEOUT_MS = 30_000;
/** For what waits until all is applied. */
const APPLY_TIMEOUT_MS = 180_000;

/** A document and the ETag that a write has to carry. */
export interface Read<T> {
  readonly value: T;
  readonly etag: string;
}

/** Precondition of a write: the ETag that was read, or that nothing is there yet. */
export type Precondition = { readonly ifMatch: string } | "create";

interface Call {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export class ApiClient {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #token: Token;
  readonly #fetch: Effects["fetch"];

  constructor(options: { readonly url: string; readonly token: Token; readonly fetch: Effects["fetch"] }) {
    this.url = options.url;
    this.#token = options.token;
    this.#fetch = options.fetch;
  }

  /** A report or list. `T` is what the API of this version answers. @throws LeafmeshError by its code */
  async get<T>(path: string): Promise<T> {
    return (await (await this.#call("GET", path)).json()) as T;
  }

  /** What is no JSON, as its text. */
  async text(path: string): Promise<string> {
    return await (await this.#call("GET", path, { timeoutMs: APPLY_TIMEOUT_MS })).text();
  }

  /** A document with its ETag. */
  async read<T>(path: string): Promise<Read<T>> {
    const response = await this.#call("GET", path);
    return { value: (await response.json()) as T, etag: response.headers.get("etag") ?? "*" };
  }

  /** As {@link read}, `null` when it does not exist. */
  async find<T>(path: string): Promise<Read<T> | null> {
    try {
      return await this.read<T>(path);
    } catch (thrown) {
      if (thrown instanceof LeafmeshError && thrown.code === "not_found") return null;
      throw thrown;
    }
  }

  /** Writes a document; the sidecar applies it by itself. */
  async put(path: string, body: unknown, precondition: Precondition): Promise<void> {
    await this.#call("PUT", path, { body, headers: headersOf(precondition) });
  }

  /** Writes a document and waits. @returns whether nothing is left to do */
  async putAndWait(path: string, body: unknown, precondition: Precondition): Promise<boolean> {
    const call = { body, headers: headersOf(precondition), timeoutMs: APPLY_TIMEOUT_MS };
    return isApplied(await this.#call("PUT", waiting(path), call));
  }

  /** Removes a document and waits. @returns whether nothing is left to do */
  async removeAndWait(path: string, etag: string): Promise<boolean> {
    const call = { headers: { "if-match": etag }, timeoutMs: APPLY_TIMEOUT_MS };
    return isApplied(await this.#call("DELETE", waiting(path), call));
  }

  /** Removes a resource. @param etag its revision, where it has some */
  async remove(path: string, etag?: string): Promise<void> {
    await this.#call("DELETE", path, etag === undefined ? {} : { headers: { "if-match": etag } });
  }

  async patch<T>(path: string, body: unknown): Promise<T> {
    return (await (await this.#call("PATCH", path, { body })).json()) as T;
  }

  async post<T>(path: string, body?: unknown): Promise<T> {
    const call = { timeoutMs: APPLY_TIMEOUT_MS, ...(body === undefined ? {} : { body }) };
    return (await (await this.#call("POST", path, call)).json()) as T;
  }

  async #call(
    method: string,
    path: string,
    { body, headers, timeoutMs = TIMEOUT_MS }: Call = {},
  ): Promise<Response> {
    const response = await this.#send(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token.value}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.headers.has("Leafmesh-Version" satisfies VersionHeader)) {
      throw new LeafmeshError(
        "api_unreachable",
        `${this.url} answers, but is no API of Leafmesh: name the right one with --api or LEAFMESH_API`,
      );
    }
    if (response.ok) return response;
    throw await this.#errorOf(response);
  }

  async #send(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#fetch(url, init);
    } catch (thrown) {
      if (thrown instanceof Error && thrown.name === "TimeoutError") {
        throw new LeafmeshError("timeout", `${this.url} did not answer in time: see the sidecar's log`, {
          cause: thrown,
        });
      }
      throw new LeafmeshError(
        "api_unreachable",
        `${this.url} does not answer (${reasonOf(thrown)}). Start the sidecar with 'leafmesh up', or name its API with --api or LEAFMESH_API`,
        { cause: thrown },
      );
    }
  }

  async #errorOf(response: Response): Promise<LeafmeshError> {
    const document: unknown = await response.json().catch(() => null);
    const code = fieldOf(document, "code");
    const detail = fieldOf(document, "detail");
    if (typeof code !== "string" || typeof detail !== "string" || !isErrorCode(code)) {
      return new LeafmeshError(
        "internal",
        `${this.url} answered ${response.status} without a problem document`,
      );
    }
    const problems = problemsOf(fieldOf(document, "problems"));
    return new LeafmeshError(code, this.#explained(code, detail), { problems });
  }

  #explained(code: ErrorCode, detail: string): string {
    if (code === "unauthorized") {
      const why = detail.startsWith("The token is wrong") ? "is it another site's, or revoked?" : detail;
      return `The API refuses the token of ${this.#token.source}: ${why}`;
    }
    if (code === "precondition_failed")
      return `${detail}. Somebody else changed it meanwhile: look, and run the command again`;
    return detail;
  }
}

/** Some runtimes say only `fetch failed` and keep the reason in the cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return errorText(cause instanceof Error && cause.message !== "" ? cause : thrown);
}

function headersOf(precondition: Precondition): Record<string, string> {
  return precondition === "create" ? { "if-none-match": "*" } : { "if-match": precondition.ifMatch };
}

function waiting(path: string): string {
  return `${path}${path.includes("?") ? "&" : "?"}wait=true`;
}

function isApplied(response: Response): boolean {
  return response.headers.get("Leafmesh-Applied" satisfies AppliedHeader) === "true";
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function problemsOf(value: unknown): Problem[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: unknown) => ({
    path: String(fieldOf(one, "path") ?? ""),
    message: String(fieldOf(one, "message") ?? ""),
  }));
}

/** The sidecar may be of another version and know codes that we do not. */
function isErrorCode(code: string): code is ErrorCode {
  try {
    return typeof errorTitle(code as ErrorCode) === "string";
  } catch {
    return false;
  }
}
