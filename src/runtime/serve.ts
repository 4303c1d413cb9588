/** HTTP servers of the runtime that this process runs in. Everything else that differs goes through `node:` modules. */
import { errorText, LeafmeshError } from "../model/errors.ts";

export interface ServeOptions {
  readonly hostname: string;
  /** 0 means any free one. */
  readonly port: number;
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

export interface HttpServer extends AsyncDisposable {
  readonly hostname: string;
  /** The real port. */
  readonly port: number;
  /** Lets requests end for up to `graceMs` (default 1000), then cuts them off. */
  stop(graceMs?: number): Promise<void>;
}

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

/**
 * Starts an HTTP server.
 *
 * @throws LeafmeshError `port_taken` naming the address, `config_invalid` when the address cannot be listened at
 */
export async function serve(options: ServeOptions): Promise<HttpServer> {
  const runtime: ServeModule =
    "Deno" in globalThis ? await import("./serve_deno.ts") : await import("./serve_bun.ts");
  const listener = listen(runtime, options);
  const stop = async (graceMs = GRACE_MS) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([listener.drain(), grace]);
    clearTimeout(timer);
    await listener.cut();
  };
  return { hostname: options.hostname, port: listener.port, stop, [Symbol.asyncDispose]: () => stop() };
}

function listen(runtime: ServeModule, options: ServeOptions): Listener {
  try {
    return runtime.listen(options);
  } catch (thrown) {
    const address = `${options.hostname.includes(":") ? `[${options.hostname}]` : options.hostname}:${options.port}`;
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    throw code === "EADDRINUSE" || (thrown instanceof Error && thrown.name === "AddrInUse")
      ? new LeafmeshError("port_taken", `${address} is in use: another sidecar? Stop it, or set api.listen`, {
          cause: thrown,
        })
      : new LeafmeshError("config_invalid", `Cannot listen at ${address}: ${errorText(thrown)}`, {
          cause: thrown,
        });
  }
}
