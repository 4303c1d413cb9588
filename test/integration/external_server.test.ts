/** A site whose nats-server somebody else runs: the sidecar writes its part, reloads, and says what is missing. */
import { expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { LeafmeshError } from "../../src/model/errors.ts";
import { findServer } from "../../src/nats/find.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { createLog } from "../../src/observe/log.ts";
import { startSidecar } from "../../src/sidecar.ts";
import { freePorts } from "../support/free_ports.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

async function listening(url: string): Promise<void> {
  await waitFor(
    async () => {
      const nc = await connect({ servers: url, reconnect: false }).catch((error: Error) => error);
      if (nc instanceof Error) return !/refused/i.test(nc.message);
      await nc.close();
      return true;
    },
    { what: "the server to listen" },
  );
}

function end(child: ChildProcess): Promise<void> {
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  return gone;
}

test("an external server: the fragment is named, verified, reloaded, and what is missing is said", async () => {
  await using root = await tempFolder();
  const [listen, leaf] = await freePorts("127.0.0.1", 2);
  const url = `127.0.0.1:${listen}`;
  const { path: binary } = await findServer();
  const main = join(root.path, "main.conf");
  const ours = join(root.path, "leafmesh.conf");
  const log = createLog({ format: "text", write: () => {}, now: () => new Date(), site: "berlin" });
  const start = () =>
    startSidecar({
      file: {
        site: "berlin",
        data: join(root.path, "data"),
        server: { mode: "external", url, config: ours, leaf: `127.0.0.1:${leaf}` },
        api: { listen: "127.0.0.1:0" },
      },
      base: root.path,
      log,
      env: process.env,
    });

  // 1. The server does not have it yet: the message names the file to include.
  const bare = `listen: "${url}"\nmax_payload: 2MB\n`;
  await writeFile(main, bare);
  let server = spawn(binary, ["-c", main], { stdio: "ignore" });
  try {
    await listening(url);
    const failure = (await start().catch((error: unknown) => error)) as LeafmeshError;
    expect(failure.code).toBe("server_fragment_missing");
    expect(failure.message).toContain(ours);
    expect((await stat(ours)).mode & 0o777).toBe(0o600);

    // 2. Included, and the server started with it.
    await end(server);
    await writeFile(main, `${bare}include "leafmesh.conf"\n`);
    server = spawn(binary, ["-c", main], { stdio: "ignore" });
    await listening(url);
    await using sidecar = await waitFor(start, { what: "the sidecar to start" });

    // 3. A tenant at run time: written, reloaded, in force.
    const app = createSigningKey();
    await sidecar.control.state.put(
      { type: "tenant", tenant: "acme" },
      { users: [{ name: "app", key: app.publicKey }] },
      null,
    );
    expect((await sidecar.control.apply()).converged).toBe(true);
    const nc = await connect({ servers: url, authenticator: app.authenticator });
    expect((await jetstream(nc).publish("acme.hello", "x")).stream).toBe("out_acme");
    await nc.close();

    // 4. Somebody takes the fragment out: what is not in force is named.
    await writeFile(main, `${bare}include "frozen.conf"\n`);
    await writeFile(join(root.path, "frozen.conf"), await Bun.file(ours).text());
    await sidecar.control.state.put({ type: "tenant", tenant: "globex" }, {}, null);
    const report = await sidecar.control.apply();
    expect(report.converged).toBe(false);
    expect(report.failed[0]?.error).toMatch(/lacks \d+ parts/);
    expect((await sidecar.control.ready()).ready).toBe(false);
  } finally {
    await end(server);
  }
}, 60_000);
