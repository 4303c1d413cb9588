/** HTTP by Bun. The few types stand here, because Deno checks the project without Bun's. */
import type { Listener, ServeOptions } from "./serve.ts";

/** Of a connection that sends no request. */
const IDLE_SECONDS = 30;
/** Of a request: longer than the longest answer takes to begin, and than the heartbeat of any event stream. */
const REQUEST_SECONDS = 240;

interface BunServe {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    tls?: { readonly cert: string; readonly key: string };
    fetch: (request: Request, server: BunServer) => Response | Promise<Response>;
  }): BunServer;
}

interface BunServer {
  readonly port?: number;
  stop(closeActiveConnections?: boolean): Promise<void>;
  timeout(request: Request, seconds: number): void;
  requestIP(request: Request): { readonly address: string } | null;
}

export function listen(options: ServeOptions): Listener {
  const { Bun } = globalThis as unknown as { readonly Bun: BunServe };
  const server = Bun.serve({
    hostname: options.hostname,
    port: options.port,
    idleTimeout: IDLE_SECONDS,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    fetch: (request, server) => {
      server.timeout(request, REQUEST_SECONDS);
      return options.fetch(request, { address: server.requestIP(request)?.address ?? "" });
    },
  });
  return {
    port: server.port ?? options.port,
    drain: () => server.stop(),
    cut: () => server.stop(true),
  };
}
