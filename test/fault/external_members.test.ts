/** Two sidecars beside a server that somebody else runs: who takes over has data of its own that is old, and must not bring it into force. */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { findServer } from "../../src/nats/find.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { createLog } from "../../src/observe/log.ts";
import { startSidecar } from "../../src/sidecar.ts";
import { freePorts } from "../support/free_ports.ts";
import { letIn } from "../support/let_in.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

test("who takes over beside an external server begins with the state of the site, not with what it knew of before", async () => {
  await using root = await tempFolder();
  const [listen, leaf] = await freePorts("127.0.0.1", 2);
  const url = `127.0.0.1:${listen}`;
  const ours = join(root.path, "leafmesh.conf");
  const main = join(root.path, "main.conf");
  await writeFile(main, `listen: "${url}"\nmax_payload: 2MB\ninclude "leafmesh.conf"\n`);
  const lines: string[] = [];
  const start = (member: string) =>
    startSidecar({
      file: {
        site: "berlin",
        data: join(root.path, `data-${member}`),
        server: { mode: "external", url, config: ours, leaf: `127.0.0.1:${leaf}` },
        api: { listen: "127.0.0.1:0" },
      },
      base: root.path,
      member,
      log: createLog({
        format: "text",
        write: (line) => lines.push(line),
        now: () => new Date(),
        site: "berlin",
      }),
      env: process.env,
    });
  // The first try writes the part that the server includes.
  expect(await start("a").catch((error: { code: string }) => error.code)).toBe("server_fragment_missing");
  const { path: binary } = await findServer();
  const server = spawn(binary, ["-c", main], { stdio: "ignore" });
  try {
    const a = await waitFor(() => start("a"), { what: "member a to start" });
    // Again where a file goes meanwhile with which a sidecar looks whether it may write.
    const keys = (data: string) => join(root.path, data, "keys");
    await waitFor(() => cp(keys("data-a"), keys("data-b"), { recursive: true }).then(() => true), {
      what: "the keys",
    });
    await using b = await start("b");
    expect(() => b.control).toThrow("does not lead");

    // What b has never led with.
    const app = createSigningKey();
    await a.control.state.put(
      { type: "tenant", tenant: "acme" },
      { users: [{ name: "app", key: app.publicKey }] },
      null,
    );
    expect((await a.control.apply()).converged).toBe(true);
    await a.stop();
    await waitFor(() => b.control !== null, { what: "member b to lead", deadlineMs: 30_000 });
    expect(await readFile(ours, "utf8")).toContain(app.publicKey);

    // An account that a reload drops and another one adds again takes nothing more before a restart of the server.
    const nc = await letIn({ servers: url, authenticator: app.authenticator });
    expect((await jetstream(nc).publish("acme.hello", "x")).stream).toBe("out_acme");
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    await waitFor(async () => (await jsm.streams.info("acme")).state.messages === 1, {
      what: "the event in the tenant's log",
      deadlineMs: 15_000,
    });
    await nc.close();
    expect(lines.filter((line) => / - tenant acme/.test(line))).toEqual([]);
  } finally {
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    await gone;
  }
}, 120_000);
