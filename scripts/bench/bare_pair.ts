/** Two bare servers with a plain leaf link, and nothing of ours: what a route's catching up is held against. */
import type { StreamSource } from "@nats-io/jetstream";
import { type BenchServer, benchFolder, freePort, startServer } from "./server.ts";

export interface BarePair extends AsyncDisposable {
  /** Is dialled, and has the events. */
  readonly near: BenchServer;
  /** Dials, and sources them. */
  readonly far: BenchServer;
}

/** Starts both. @param sync when stores are flushed, as nats-server's `sync_interval` */
export async function startBarePair(sync: string): Promise<BarePair> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(benchFolder());
  const leaf = await freePort();
  const start = async (name: string, leafnodes: string) => {
    const port = await freePort();
    const config =
      `server_name: ${name}\nlisten: "127.0.0.1:${port}"\nfeature_flags { js_ack_fc_v2: true }\n` +
      `jetstream { store_dir: "${path}/${name}", domain: ${name}, sync_interval: ${sync} }\nleafnodes { ${leafnodes} }\n`;
    return stack.use(await startServer(path, name, port, config));
  };
  const near = await start("near", `listen: "127.0.0.1:${leaf}"`);
  const far = await start("far", `remotes: [ { url: "nats-leaf://127.0.0.1:${leaf}" } ]`);
  const parts = stack.move();
  return { near, far, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

/** A source of the far server: a stream of the near one. */
export function nearSource(name: string): StreamSource {
  return { name, external: { api: "$JS.near.API", deliver: "" } } as StreamSource;
}
