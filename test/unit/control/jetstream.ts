/** A bare nats-server with JetStream, for what can only be told by one. */
import { join } from "node:path";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { freePorts } from "../../support/free_ports.ts";
import { TestServer } from "../../support/server.ts";
import { tempFolder } from "../../support/temp_folder.ts";

export interface TestJetStream extends AsyncDisposable {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

/** Starts one; disposing of it removes it with its store. */
export async function startJetStream(): Promise<TestJetStream> {
  const folder = await tempFolder();
  const [port] = await freePorts("127.0.0.1", 1);
  const open = () => connect({ servers: `127.0.0.1:${port}`, reconnect: false });
  const server = await TestServer.start({
    folder: folder.path,
    config: `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(folder.path, "store")}" }\n`,
    ready: async () => {
      await (await open()).close();
      return true;
    },
  });
  const nc = await open();
  return {
    nc,
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    [Symbol.asyncDispose]: async () => {
      await nc.close();
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
