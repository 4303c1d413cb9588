/** HTTP servers of the runtime that this process runs in. Everything else that differs goes through `node:` modules. */

export interface ServeOptions {
  readonly hostname: string;
  /** 0 means any free one. */
  readonly port: number;
  /** By TLS; default in clear. */
  readonly tls?: TlsFiles;
  readonly fetch: (request: Request, client: HttpClient) => Response | Promise<Response>;
}

/** Certificate chain and private key, PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** Who has sent a request. */
export interface HttpClient {
  /** Without its port; empty when the connection is gone already. */
  readonly address: string;
}

export interface HttpServer extends AsyncDisposable {
  readonly hostname: string;
  /** The real port. */
  readonly port: number;
  /**
   * Shows another certificate to connections from now on; requests under way end on the old one.
   * @throws what the runtime says when it cannot listen with it; then nobody listens, and it can be called again
   */
  replaceTls(tls: TlsFiles): Promise<void>;
  /** Lets requests end for up to `graceMs` (default 1000), then cuts them off. */
  stop(graceMs?: number): Promise<void>;
}

/** How it went; this layer knows none of the project's errors, so the caller names them. */
export type ServeResult =
  | { readonly type: "serving"; readonly server: HttpServer }
  | { readonly type: "in_use"; readonly address: string; readonly cause: unknown }
  | { readonly type: "unusable"; readonly address: string; readonly cause: unknown };

/** What a runtime's file has to offer. */
export interface ServeModule {
  listen(options: ServeOptions): Listener;
}

export interface Listener {
  readonly port: number;
  /** Takes no more connections; resolves when the last request has ended. */
  drain(): Promise<void>;
  /** Cuts all connections off. */
  cut(): Promise<void>;
}

const GRACE_MS = 1000;
/** How long a port that was just let go of may still be in use. */
const AGAIN_WITHIN_MS = 5000;

/** Starts an HTTP server, or says why it cannot listen at the address. */
export async function serve(options: ServeOptions): Promise<ServeResult> {
  const runtime: ServeModule =
    "Deno" in globalThis ? await import("./serve_deno.ts") : await import("./serve_bun.ts");
  let listener: Listener;
  try {
    listener = runtime.listen(options);
  } catch (cause) {
    const { hostname, port } = options;
    const address = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
    return { type: isInUse(cause) ? "in_use" : "unusable", address, cause };
  }
  const { port } = listener;
  /** Those whose certificate was replaced, until their last request has ended. */
  const older = new Set<Listener>();
  const stop = async (graceMs = GRACE_MS) => {
    const all = [...older, listener];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([Promise.all(all.map((one) => one.drain())), grace]);
    clearTimeout(timer);
    await Promise.all(all.map((one) => one.cut()));
  };
  const replaceTls = async (tls: TlsFiles) => {
    const before = listener;
    if (!older.has(before)) {
      older.add(before);
      void before.drain().then(() => older.delete(before));
    }
    listener = await listenAgain(runtime, { ...options, port, tls });
  };
  const { hostname } = options;
  const server = { hostname, port, replaceTls, stop, [Symbol.asyncDispose]: () => stop() };
  return { type: "serving", server };
}

/** The port is free as soon as the runtime has let go of it, which is soon. */
async function listenAgain(runtime: ServeModule, options: ServeOptions): Promise<Listener> {
  const end = performance.now() + AGAIN_WITHIN_MS;
  for (;;) {
    try {
      return runtime.listen(options);
    } catch (cause) {
      if (!isInUse(cause) || performance.now() > end) throw cause;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Bun and Node give a system error its code; Deno has a class for it. */
function isInUse(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  return ("code" in thrown && thrown.code === "EADDRINUSE") || thrown.name === "AddrInUse";
}
