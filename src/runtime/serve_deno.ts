/** HTTP by Deno. The few types stand here, because the rest of the project compiles without Deno's. */
import type { Listener, ServeOptions } from "./serve.ts";

interface DenoServe {
  serve(
    options: { hostname: string; port: number; onListen: () => void; cert?: string; key?: string },
    handler: (request: Request, info: DenoInfo) => Promise<Response>,
  ): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
}

interface DenoInfo {
  readonly remoteAddr: { readonly hostname?: string };
}

export function listen(options: ServeOptions): Listener {
  const { Deno } = globalThis as unknown as { readonly Deno: DenoServe };
  const cut = new AbortController();
  const { hostname, port, tls } = options;
  const server = Deno.serve({ hostname, port, ...tls, onListen: () => {} }, async (request, info) => {
    const response = await options.fetch(request, { address: info.remoteAddr.hostname ?? "" });
    if (response.body === null) return response;
    // Deno either lets all requests end or cuts off all at once; ending the bodies gives us one after the other.
    return new Response(response.body.pipeThrough(endedBy(cut.signal)), response);
  });
  let drained: Promise<void> | undefined;
  const drain = () => {
    drained ??= server.shutdown();
    return drained;
  };
  return {
    port: server.addr.port,
    drain,
    cut: async () => {
      cut.abort();
      await drain();
    },
  };
}

/** Passes bytes through until the signal, then ends the stream. */
function endedBy(signal: AbortSignal): TransformStream<Uint8Array, Uint8Array> {
  let end = () => {};
  const forget = () => signal.removeEventListener("abort", end);
  // In the standard and in Deno, not in TypeScript's types yet: cancel.
  const transformer: Transformer<Uint8Array, Uint8Array> & { cancel: () => void } = {
    start: (controller) => {
      end = () => controller.terminate();
      signal.addEventListener("abort", end);
    },
    flush: forget,
    cancel: forget,
  };
  return new TransformStream(transformer);
}
