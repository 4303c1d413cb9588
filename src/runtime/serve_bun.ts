/** HTTP by Bun. The few types stand here, because Deno checks the project without Bun's. */
import type { Listener, ServeOptions } from "./serve.ts";

/** Longer than the heartbeat of any event stream. */
const IDLE_SECONDS = 120;

interface BunServe {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
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
    fetch: (request, server) => options.fetch(request, { address: server.requestIP(request)?.address ?? "" }),
  });
  return {
    port: server.port ?? options.port,
    drain: () => server.stop(),
    cut: () => server.stop(true),
  };
}
