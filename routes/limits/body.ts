/** Reads the body of a request: as much as its operation takes, in the time that it may take, and JSON that says one thing. */
import type { Context, MiddlewareHandler } from "hono";
import { LeafmeshError } from "../../src/model/errors.ts";
import type { ApiEnv } from "../options.ts";
import { jsonProblem } from "./json_text.ts";

/** How large and how slow a body may be; what is not given has its default. */
export interface BodyLimits {
  /** Without a byte. Default 5 s. */
  readonly bodyIdleMs?: number;
  /** For all of it. Default 20 s. */
  readonly bodyTotalMs?: number;
}

/** Documents, and texts that are looked at. */
const LARGE_BYTES = 1024 * 1024;
/** What only says what to do. */
const SMALL_BYTES = 16 * 1024;
const SMALL: ReadonlySet<string> = new Set([
  "apply",
  "createToken",
  "rotateBootstrap",
  "putPeer",
  "rotateKey",
  "dropDeadLetters",
  "startRedrive",
]);

/** Puts the body where the handlers find it. @throws LeafmeshError `too_large`, `too_slow`, `request_invalid` */
export function readBody(limits: BodyLimits = {}): MiddlewareHandler<ApiEnv> {
  const { bodyIdleMs = 5000, bodyTotalMs = 20_000 } = limits;
  return async (c, next) => {
    const { body } = c.req.raw;
    if (body !== null && c.req.method !== "GET" && c.req.method !== "HEAD") {
      const most = SMALL.has(c.get("operation") ?? "") ? SMALL_BYTES : LARGE_BYTES;
      const bytes = await readAll(c, body, { most, idleMs: bodyIdleMs, totalMs: bodyTotalMs });
      c.set("bodyRead", true);
      requireOneMeaning(c, bytes);
      // A promise of it is what Hono keeps there, whatever its type says.
      Object.assign(c.req.bodyCache, { arrayBuffer: Promise.resolve(bytes.buffer) });
    }
    await next();
  };
}

async function readAll(
  c: Context<ApiEnv>,
  body: ReadableStream<Uint8Array>,
  { most, idleMs, totalMs }: { readonly most: number; readonly idleMs: number; readonly totalMs: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new LeafmeshError("too_large", `The body is larger than ${most} bytes`);
  const said = Number(c.req.header("content-length") ?? 0);
  const reader = body.getReader();
  const giveUp = (error: LeafmeshError): never => {
    // Not awaited: it may end only when the client does.
    void reader.cancel().catch(() => undefined);
    throw error;
  };
  if (said > most) return giveUp(tooLarge());
  const chunks: Uint8Array[] = [];
  let length = 0;
  const endMs = performance.now() + totalMs;
  for (;;) {
    const left = Math.min(idleMs, endMs - performance.now());
    const part = left <= 0 ? "late" : await within(reader.read(), left);
    if (part === "late") {
      const text = `The body did not come in time: ${idleMs} ms without a byte and ${totalMs} ms for all of it are allowed`;
      return giveUp(new LeafmeshError("too_slow", text));
    }
    if (part.value !== undefined) {
      chunks.push(part.value);
      length += part.value.byteLength;
    }
    if (length > most) return giveUp(tooLarge());
    if (part.done) break;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | "late"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A body with a name twice means one thing to us and another to who checked it before. @throws LeafmeshError `request_invalid` */
function requireOneMeaning(c: Context<ApiEnv>, bytes: Uint8Array): void {
  if (bytes.byteLength === 0 || !/^application\/(?:[\w.-]+\+)?json/i.test(c.req.header("content-type") ?? ""))
    return;
  const problem = jsonProblem(new TextDecoder().decode(bytes));
  if (problem !== null) throw new LeafmeshError("request_invalid", `The body ${problem}`);
}
