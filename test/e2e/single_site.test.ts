/** A single site as a newcomer starts it: one command, a tenant, an app. */
import { describe, expect, test } from "bun:test";
import { readFile, symlink } from "node:fs/promises";
import { connect as connectTo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { nkeyAuthenticator } from "@nats-io/transport-node";
import { freePorts } from "../support/free_ports.ts";
import { letIn } from "../support/let_in.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";
import { Program, processesIn, run } from "./program.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
/** The script of package.json, which is found in the folder that it is run in. */
const SCRIPT = ["bun", "run", "--silent", "sidecar"] as const;
/** A second or two where nothing else runs. */
const HEALTHY_SOON = { deadlineMs: 20_000, pollMs: 10, what: "/healthz" };

/** An empty folder from which `bun run sidecar` works as in the project's own. */
async function projectFolder() {
  const folder = await tempFolder();
  for (const name of ["package.json", "src", "routes", "node_modules"]) {
    await symlink(join(PROJECT, name), join(folder.path, name));
  }
  return folder;
}

async function healthy(api: string): Promise<boolean> {
  return (await fetch(`http://${api}/healthz`)).ok;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTo({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });
}

describe("bun run sidecar", () => {
  test("serves a site in an empty folder; a tenant's app publishes and reads its event back", async () => {
    await using folder = await projectFolder();
    const cwd = folder.path;
    const [listen, leaf, api] = (await freePorts("127.0.0.1", 3)).map((port) => `127.0.0.1:${port}`);
    const flags = ["--listen", listen ?? "", "--leaf", leaf ?? "", "--api", api ?? ""];
    await using sidecar = new Program(flags, { cwd, command: SCRIPT });
    await waitFor(() => healthy(api ?? ""), HEALTHY_SOON);
    const env = { LEAFMESH_API: `http://${api}` };
    await waitFor(() => sidecar.stdout.includes("is up"), { what: "the welcome" });
    // Shown once, to whoever starts it.
    expect(sidecar.stdout).toMatch(/token {3}lm_\S{20,}/);
    const added = await run(["tenant", "add", "acme"], { cwd, env });
    expect(added).toMatchObject({ code: 0, stderr: "" });
    expect(added.stdout).toContain("Tenant acme is made and applied");
    expect(added.stdout).toContain(`nats://${listen}`);

    const seed = new TextEncoder().encode((await readFile(join(cwd, "acme-app.nk"), "utf8")).trim());
    expect(added.stdout).not.toContain(new TextDecoder().decode(seed));
    const nc = await letIn({ servers: listen ?? "", authenticator: nkeyAuthenticator(seed) });
    try {
      const ack = await jetstream(nc).publish("acme.hello", "world");
      expect(ack).toMatchObject({ stream: "out_acme", seq: 1, duplicate: false });
      const jsm = await jetstreamManager(nc);
      await jsm.consumers.add("acme", { durable_name: "reader", ack_policy: "explicit" });
      const consumer = await jetstream(nc).consumers.get("acme", "reader");
      const message = await consumer.next({ expires: 5000 });
      expect([message?.subject, message?.string()]).toEqual(["local-site.acme.hello", "world"]);
      expect(await message?.ackAck()).toBe(true);
    } finally {
      await nc.close();
    }
    expect(await sidecar.stop()).toBe(0);
    await waitFor(async () => (await processesIn(cwd)).length === 0, { what: "all processes to be gone" });
  }, 30_000);

  test("needs no argument: the addresses, the site and the data folder have defaults", async () => {
    await using folder = await projectFolder();
    const cwd = folder.path;
    const taken: number[] = [];
    for (const port of [4222, 7422, 7480]) if (await listens(port)) taken.push(port);
    await using sidecar = new Program([], { cwd, command: SCRIPT });
    if (taken.length > 0) {
      // Somebody else has a default port: then that, and what to do, is what it says.
      expect(await sidecar.ended()).toBe(6);
      expect(sidecar.stderr).toMatch(/127\.0\.0\.1:(4222|7422|7480) is in use.*set (server|api)\./);
      return;
    }
    await waitFor(() => healthy("127.0.0.1:7480"), HEALTHY_SOON);
    await waitFor(() => sidecar.stdout.includes("is up"), { what: "the welcome" });
    for (const part of ["nats://127.0.0.1:4222", "tls://127.0.0.1:7422", "http://127.0.0.1:7480"]) {
      expect(sidecar.stdout).toContain(part);
    }
    const status = await run(["status", "--json"], { cwd });
    expect(status.code).toBe(0);
    expect(JSON.stringify(JSON.parse(status.stdout))).toContain('"site":"local-site"');
    expect(await sidecar.stop()).toBe(0);
    await waitFor(async () => (await processesIn(cwd)).length === 0, { what: "all processes to be gone" });
  }, 30_000);
});
