/** Two bare servers with a leaf link that is compressed as those of sites, and nothing of ours: what a route's catching up is held against. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StreamSource } from "@nats-io/jetstream";
import { linkCompression } from "../../src/model/links.ts";
import { MESH_ACCOUNT } from "../../src/model/names.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { waitFor } from "../../test/support/wait_for.ts";
import { type BenchServer, benchFolder, freePort, startServer } from "./server.ts";

export interface BarePairOptions {
  /** When stores are flushed, as nats-server's `sync_interval`. */
  readonly sync: string;
  /** How the link is spoken: `tls` with certificates of both ends, as sites do. Default plain. */
  readonly links?: "plain" | "tls";
  /** The store of the near server, of a site that does not run; default a new one. */
  readonly store?: string;
}

export interface BarePair extends AsyncDisposable {
  /** Is dialled, and has the events. */
  readonly near: BenchServer;
  /** Dials, and sources them. */
  readonly far: BenchServer;
}

const USER = "bare";
const NEAR = "near";
const COMPRESSION = linkCompression(undefined);
const DEADLINE_MS = 60_000;
/** JetStream of the near server, as the far one reaches it. */
const NEAR_API = `$JS.${NEAR}.API`;

/** Starts both, and waits until the link stands: a source that is put in before it asks again only after many seconds. */
export async function startBarePair({ sync, links = "plain", store }: BarePairOptions): Promise<BarePair> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(benchFolder());
  const leaf = await freePort();
  const tls = links === "plain" ? { near: "", far: "" } : await certificates(path);
  const scheme = links === "plain" ? "nats-leaf" : "tls";
  const start = async (name: string, storeDir: string, leafnodes: string) => {
    const port = await freePort();
    const config =
      `server_name: ${name}\nlisten: "127.0.0.1:${port}"\nfeature_flags { js_ack_fc_v2: true }\n` +
      `jetstream { store_dir: "${storeDir}", domain: ${name}, sync_interval: "${sync}" }\n` +
      `accounts { ${MESH_ACCOUNT} { jetstream: enabled, users: [ { user: ${USER}, password: ${USER} } ] } }\n` +
      `no_auth_user: ${USER}\nleafnodes { ${leafnodes} }\n`;
    return stack.use(await startServer(path, name, port, config));
  };
  const near = await start(
    NEAR,
    store ?? join(path, NEAR),
    `listen: "127.0.0.1:${leaf}", authorization { user: ${USER}, password: ${USER}, account: ${MESH_ACCOUNT} }, compression: ${COMPRESSION}${tls.near}`,
  );
  const far = await start(
    "far",
    join(path, "far"),
    `remotes: [ { url: "${scheme}://${USER}:${USER}@127.0.0.1:${leaf}", account: ${MESH_ACCOUNT}, compression: ${COMPRESSION}${tls.far} } ]`,
  );
  const nc = await far.connect();
  await waitFor(async () => await nc.request(`${NEAR_API}.INFO`, "", { timeout: 1000 }), {
    what: "the link of the bare servers",
    deadlineMs: DEADLINE_MS,
    pollMs: 50,
  });
  const parts = stack.move();
  return { near, far, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

/** Makes both ends' certificates. @returns the `tls` block of either */
async function certificates(folder: string): Promise<{ readonly near: string; readonly far: string }> {
  const end = async (site: string) => {
    const data = join(folder, `${site}-data`);
    mkdirSync(data, { mode: 0o700 });
    const pki = await SitePki.load(data, { site });
    return { own: pki.linkFile, ca: pki.caPem };
  };
  const [near, far] = [await end("near"), await end("far")];
  const block = (own: string, ca: string, more: string) => {
    const file = `${own}.trusted`;
    writeFileSync(file, ca);
    return `, tls { cert_file: "${own}", key_file: "${own}", ca_file: "${file}", min_version: "1.3", timeout: 5, handshake_first: true${more} }`;
  };
  return { near: block(near.own, far.ca, ", verify: true"), far: block(far.own, near.ca, "") };
}

/** A source of the far server: a stream of the near one, from a position on. */
export function nearSource(name: string, from = 1): StreamSource {
  return {
    name,
    external: { api: NEAR_API, deliver: "" },
    ...(from > 1 ? { opt_start_seq: from } : {}),
  } as StreamSource;
}
