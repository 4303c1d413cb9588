/** HTTP by Bun. The few types stand here, because Deno checks the project without Bun's. */
import type { Listener, ServeOptions } from "./serve.ts";

/** Longer than the heartbeat of any event stream. */
const IDLE_SECONDS = 120;

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
  requestIP(request: Request): { readonly address: string } | null;
}

export function listen(options: ServeOptions): Listener {
  const { Bun } = globalThis as unknown as { readonly Bun: BunServe };
  const server = Bun.serve({
    hostname: options.hostname,
    port: options.port,
    idleTimeout: IDLE_SECONDS,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    fetch: (request, server) => options.fetch(request, { address: server.requestIP(request)?.address ?? "" }),
  });
  return {
    port: server.port ?? options.port,
    drain: () => server.stop(),
    cut: () => server.stop(true),
  };
}
