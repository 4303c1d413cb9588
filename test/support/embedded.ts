/**
 * Starts an embedded server the way a sidecar does. Run as a program it is a sidecar that a test can kill:
 *
 *   bun test/support/embedded.ts <data folder> <linger ms>
 *
 * prints one line of JSON when it is ready and then waits for its end.
 */
import process from "node:process";
import { type DesiredState, desiredTenant, quietState } from "../../src/model/desired.ts";
import { resolveAddresses, type ServerAddresses } from "../../src/nats/addresses.ts";
import { renderConfig, renderLeafCredential } from "../../src/nats/config.ts";
import { DATA_FILES, DataFolder } from "../../src/nats/data_folder.ts";
import { EmbeddedServer } from "../../src/nats/embedded.ts";
import { findServer } from "../../src/nats/find.ts";
import { loadSiteKeys, publicKeys, type SiteKeys } from "../../src/nats/keys.ts";
import type { ServerEvent } from "../../src/nats/server_events.ts";
import { endWithParent } from "./with_parent.ts";

export interface TestEmbeddedOptions {
  readonly data: string;
  readonly lingerMs?: number;
  readonly desired?: DesiredState;
  readonly listen?: string;
  readonly sync?: "always" | number;
  /** A server that is started anew is quiet. Default: it is not. */
  readonly quiet?: boolean;
  readonly onEvent?: (event: ServerEvent) => void;
}

export interface TestEmbedded extends AsyncDisposable {
  readonly folder: DataFolder;
  readonly server: EmbeddedServer;
  readonly keys: SiteKeys;
  readonly addresses: ServerAddresses;
}

const NOBODY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/** A site `berlin` with a tenant `acme` and a peer that nobody is, on any free ports. */
export async function startEmbedded(options: TestEmbeddedOptions): Promise<TestEmbedded> {
  const folder = await DataFolder.open(options.data);
  try {
    const keys = await loadSiteKeys(folder.path);
    const listen = options.listen ?? "127.0.0.1:0";
    const addresses = await resolveAddresses(folder, { listen, leaf: "127.0.0.1:0" });
    const desired = options.desired ?? {
      site: "berlin",
      peers: [{ name: "tokyo", key: NOBODY, dial: "nats-leaf://127.0.0.1:1" }],
      tenants: [desiredTenant({ tenant: "acme" })],
    };
    const render = (desired: DesiredState) =>
      renderConfig({
        desired,
        keys: publicKeys(keys),
        ...addresses,
        sync: options.sync ?? "always",
        paths: {
          store: folder.file("store"),
          log: folder.file("serverLog"),
          leafCredential: DATA_FILES.leafCredential,
        },
        retiredTenants: [],
        compression: "s2_fast",
      });
    const server = await EmbeddedServer.start({
      folder,
      binary: await findServer(),
      site: desired.site,
      addresses,
      config: render(desired),
      ...(options.quiet === true ? { quietConfig: render(quietState(desired)) } : {}),
      leafCredential: renderLeafCredential(keys.site),
      sys: keys.sys,
      lingerMs: options.lingerMs ?? 30_000,
      ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    });
    const dispose = async () => {
      await server.stop();
      await folder[Symbol.asyncDispose]();
    };
    return { folder, server, keys, addresses, [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    await folder[Symbol.asyncDispose]();
    throw thrown;
  }
}

if (import.meta.main) {
  endWithParent();
  const [data = "", lingerMs = "0"] = process.argv.slice(2);
  const { server, addresses } = await startEmbedded({ data, lingerMs: Number(lingerMs) });
  const pid = (await server.process())?.pid;
  process.stdout.write(`${JSON.stringify({ pid, listen: addresses.listen, adopted: server.adopted })}\n`);
}
