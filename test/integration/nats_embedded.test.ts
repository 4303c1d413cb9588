/** The embedded server through the lives and deaths of its sidecar, its keeper and itself. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { desiredTenant } from "../../src/model/desired.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import { formatAddress, parseAddress } from "../../src/nats/addresses.ts";
import { isClosedConfig } from "../../src/nats/config.ts";
import { connectionOptions } from "../../src/nats/control_connection.ts";
import { DataFolder } from "../../src/nats/data_folder.ts";
import { loadSiteKeys } from "../../src/nats/keys.ts";
import { readRunningProcess, startTime } from "../../src/nats/processes.ts";
import type { ServerEvent } from "../../src/nats/server_events.ts";
import { startEmbedded, type TestEmbedded } from "../support/embedded.ts";
import { freePorts } from "../support/free_ports.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

const PROGRAM = fileURLToPath(new URL("../support/embedded.ts", import.meta.url));

let temp: TempFolder;
let data: string;

beforeEach(async () => {
  temp = await tempFolder();
  data = join(temp.path, "data of berlin");
});

afterEach(async () => {
  // Whatever a test left running ends here, by the ids in its own folder.
  for (const name of ["keeper.pid", "nats.pid"]) {
    const found = await readRunningProcess(join(data, name)).catch(() => null);
    if (found !== null) process.kill(found.pid, "SIGKILL");
  }
  await temp[Symbol.asyncDispose]();
});

interface Sidecar {
  readonly pid: number;
  readonly server: number;
  readonly listen: string;
  readonly adopted: boolean;
  kill(): Promise<void>;
}

/** A sidecar in a process of its own. */
async function startSidecar(lingerMs: number): Promise<Sidecar> {
  const child = spawn(process.execPath, [PROGRAM, data, String(lingerMs)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    child.once("exit", (code) => reject(new Error(`The sidecar ended with ${code}`)));
  });
  const { pid: server, listen, adopted } = JSON.parse(line);
  const pid = child.pid ?? 0;
  const kill = async () => {
    process.kill(pid, "SIGKILL");
    await waitFor(async () => (await startTime(pid)) === null, { what: "the sidecar to be gone" });
  };
  return { pid, server, listen, adopted, kill };
}

const isAlive = async (pid: number) => (await startTime(pid)) !== null;
/** Kills the server, which the keeper may have started a moment ago. */
const killServer = async () => {
  const pid = await waitFor(() => pidIn("nats.pid"), { what: "a server to kill" });
  process.kill(pid, "SIGKILL");
  await waitFor(async () => !(await isAlive(pid)), { what: "the server to be gone", pollMs: 1 });
};
/** The keeper looks once a second: two of its looks find nothing to do. */
const startsNothing = async () => {
  const began = performance.now();
  await waitFor(async () => (await pidIn("nats.pid")) !== 0 || performance.now() - began > 2500);
  expect(await pidIn("nats.pid")).toBe(0);
};
const pidIn = async (name: string) => (await readRunningProcess(join(data, name)))?.pid ?? 0;

async function connectMesh(listen: string): Promise<NatsConnection> {
  return await connect(connectionOptions("berlin", listen, (await loadSiteKeys(data)).mesh));
}

/** The error that `work` ends with. */
async function failure(work: Promise<unknown>): Promise<LeafmeshError> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof LeafmeshError) return thrown;
  throw new Error(`Expected a LeafmeshError, got ${thrown}`);
}

describe("EmbeddedServer.start() and stop()", () => {
  test("run a server and leave nothing behind", async () => {
    const { server, folder, keys, addresses } = await startEmbedded({ data });
    expect(server.adopted).toBe(false);
    const pid = (await server.process())?.pid ?? 0;
    const keeper = await pidIn("keeper.pid");
    const mesh = await connect(connectionOptions("berlin", addresses.listen, keys.mesh));
    expect(mesh.info?.server_name).toBe("berlin");
    await mesh.close();
    await server.stop();
    await folder[Symbol.asyncDispose]();
    expect([await isAlive(pid), await isAlive(keeper)]).toEqual([false, false]);
    expect((await readdir(data)).filter((name) => name.endsWith(".pid"))).toEqual([]);
  });

  test("keep the seeds in files that only the owner can read", async () => {
    await using embedded = await startEmbedded({ data });
    const { keys, folder } = embedded;
    const seeds = [keys.site, keys.mesh, keys.sys].map((key) => new TextDecoder().decode(key.seed()));
    const leaks = (text: string) => seeds.some((seed) => text.includes(seed)) || /SU[A-Z2-7]{56}/.test(text);
    for (const name of ["config", "serverLog", "serverOutput", "keeperArguments"] as const) {
      expect([name, leaks(await readFile(folder.file(name), "utf8"))]).toEqual([name, false]);
    }
    for (const pid of [await pidIn("nats.pid"), await pidIn("keeper.pid")]) {
      const shown = execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
      expect([shown, leaks(shown)]).toEqual([shown, false]);
      expect(shown).toContain("nats");
    }
    for (const name of await readdir(join(data, "keys"))) {
      expect([name, (await stat(join(data, "keys", name))).mode & 0o777]).toEqual([name, 0o600]);
    }
    expect((await stat(join(data, "keys"))).mode & 0o777).toBe(0o700);
    expect((await stat(folder.file("config"))).mode & 0o777).toBe(0o600);
  });

  test("find the same free ports again after a restart, unless another has them", async () => {
    const first = await startEmbedded({ data });
    await first[Symbol.asyncDispose]();
    const second = await startEmbedded({ data });
    await second[Symbol.asyncDispose]();
    expect(second.addresses).toEqual(first.addresses);
    const other = createServer();
    const { port } = parseAddress(first.addresses.listen);
    await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
    await using third = await startEmbedded({ data });
    await new Promise((resolve) => other.close(resolve));
    expect(third.addresses.listen).not.toBe(first.addresses.listen);
    expect(third.addresses.leaf).toBe(first.addresses.leaf);
  });

  test("write the server's log lines as events", async () => {
    const events: ServerEvent[] = [];
    await using _embedded = await startEmbedded({ data, onEvent: (event) => void events.push(event) });
    const messages = () => events.flatMap((event) => (event.type === "log" ? [event.line] : []));
    await waitFor(() => messages().some((line) => line.message === "Server is ready"), { what: "its log" });
    await waitFor(
      () => messages().some((line) => line.level === "error" && line.message.includes("127.0.0.1:1")),
      {
        what: "an error in its log",
      },
    );
  });
});

describe("a sidecar that is killed", () => {
  test("leaves nothing behind when the data folder is taken away", async () => {
    const sidecar = await startSidecar(60_000);
    const keeper = await pidIn("keeper.pid");
    await sidecar.kill();
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
    await waitFor(async () => !(await isAlive(sidecar.server)) && !(await isAlive(keeper)), {
      what: "server and keeper to end",
    });
  });

  test("leaves the server running for the linger time, and then nothing", async () => {
    const sidecar = await startSidecar(2000);
    const keeper = await pidIn("keeper.pid");
    await using mesh = {
      connection: await connectMesh(sidecar.listen),
      [Symbol.asyncDispose]: async () => await mesh.connection.close(),
    };
    await sidecar.kill();
    const killed = performance.now();
    await mesh.connection.flush();
    expect(await isAlive(sidecar.server)).toBe(true);
    await waitFor(async () => !(await isAlive(sidecar.server)) && !(await isAlive(keeper)), {
      what: "server and keeper to end",
    });
    expect(performance.now() - killed).toBeGreaterThan(1500);
  });

  test("finds its server again: the next one adopts it, and no client notices", async () => {
    const first = await startSidecar(20_000);
    const mesh = await connectMesh(first.listen);
    let losses = 0;
    void (async () => {
      for await (const status of mesh.status()) if (status.type === "disconnect") losses++;
    })();
    await first.kill();
    const second = await startSidecar(20_000);
    expect(second).toMatchObject({ adopted: true, server: first.server, listen: first.listen });
    await mesh.flush();
    expect(losses).toBe(0);
    await mesh.close();
    await second.kill();
    await using third = await startEmbedded({ data });
    expect(third.server.adopted).toBe(true);
  });

  test("has its server restarted by the keeper alone when that crashes too", async () => {
    const sidecar = await startSidecar(30_000);
    await sidecar.kill();
    process.kill(sidecar.server, "SIGKILL");
    const next = await waitFor(async () => {
      const pid = await pidIn("nats.pid");
      return pid === sidecar.server ? 0 : pid;
    });
    const mesh = await waitFor(() => connectMesh(sidecar.listen));
    await mesh.close();
    expect(await isAlive(next)).toBe(true);
  });
});

describe("a server that crashes", () => {
  test("is started again with its data, and the sidecar hears of it", async () => {
    const events: ServerEvent[] = [];
    await using embedded = await startEmbedded({ data, onEvent: (event) => void events.push(event) });
    const mesh = await connectMesh(embedded.addresses.listen);
    const manager = await jetstreamManager(mesh, { timeout: 500 });
    await manager.streams.add({ name: "kept", subjects: ["kept"] });
    const before = await pidIn("nats.pid");
    process.kill(before, "SIGKILL");
    await waitFor(() => events.some((event) => event.type === "started"), { what: "the new server" });
    expect(events.find((event) => event.type === "exited")).toEqual({
      type: "exited",
      exits: 1,
      status: 137,
    });
    await waitFor(async () => (await manager.streams.info("kept")).config.name === "kept");
    await mesh.close();
    expect(await pidIn("nats.pid")).not.toBe(before);
  });

  test("outlives its keeper, and gets a new one", async () => {
    const events: ServerEvent[] = [];
    await using embedded = await startEmbedded({ data, onEvent: (event) => void events.push(event) });
    const server = (await embedded.server.process())?.pid ?? 0;
    const keeper = await pidIn("keeper.pid");
    process.kill(keeper, "SIGKILL");
    await waitFor(() => events.some((event) => event.type === "keeper_replaced"), { what: "a new keeper" });
    expect(await pidIn("keeper.pid")).not.toBe(keeper);
    expect((await embedded.server.process())?.pid).toBe(server);
    await embedded.server.restart();
    expect((await embedded.server.process())?.pid).not.toBe(server);
  });
});

describe("EmbeddedServer.start() fails", () => {
  test("with port_taken when another listens at its address", async () => {
    const [port = 0] = await freePorts("127.0.0.1", 1);
    const address = formatAddress({ host: "127.0.0.1", port });
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
    const error = await failure(startEmbedded({ data, listen: address }));
    await new Promise((resolve) => other.close(resolve));
    expect(error.code).toBe("port_taken");
    expect(error.message).toBe(
      `${address} is in use: another nats-server or sidecar? Stop it, or set server.listen`,
    );
  });

  test("with config_invalid at an address that is not of this machine", async () => {
    const error = await failure(startEmbedded({ data, listen: "203.0.113.7:4222" }));
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain("203.0.113.7:4222");
  });

  test("with data_folder_locked while another sidecar has the folder", async () => {
    const sidecar = await startSidecar(5000);
    const error = await failure(startEmbedded({ data }));
    expect(error.code).toBe("data_folder_locked");
    expect(error.message).toContain(`process id ${sidecar.pid}`);
    expect(await isAlive(sidecar.server)).toBe(true);
    await sidecar.kill();
  });

  test("with server_config_refused in the server's words", async () => {
    const desired = { site: "berlin", peers: [{ name: "tokyo", key: "U-broken" }], tenants: [] };
    const error = await failure(startEmbedded({ data, desired }));
    expect(error.code).toBe("server_config_refused");
    expect(error.message).toMatch(/nats\.conf\.new: line \d+:\d+: Not a valid public nkey for a user$/);
  });

  test("with data_folder_unusable where no folder can be", async () => {
    await writeFile(data, "a file");
    const error = await failure(startEmbedded({ data }));
    expect(error.code).toBe("data_folder_unusable");
    expect(error.message).toContain(data);
  });

  test("with server_failed and the server's last words when that ends at once", async () => {
    await mkdir(join(data, "store"), { recursive: true });
    await writeFile(join(data, "store", "jetstream"), "not a folder");
    const error = await failure(startEmbedded({ data }));
    expect(error.code).toBe("server_failed");
    expect(error.message).toMatch(/ended with status 1: .*storage directory is not a directory.*log: /);
    expect([await pidIn("nats.pid"), await pidIn("keeper.pid")]).toEqual([0, 0]);
  });
});

describe("a running server whose settings changed", () => {
  const changed = async (first: TestEmbedded, sync: "always" | number) => {
    const before = (await first.server.process())?.pid;
    await first.server.abandon();
    await first.folder[Symbol.asyncDispose]();
    const second = await startEmbedded({ data, sync });
    return { second, same: (await second.server.process())?.pid === before };
  };

  test("is restarted where a reload cannot apply them", async () => {
    const { second, same } = await changed(await startEmbedded({ data, sync: "always" }), 500);
    expect([second.server.adopted, same]).toEqual([false, false]);
    await second[Symbol.asyncDispose]();
  });

  test("goes on where a reload can", async () => {
    const first = await startEmbedded({ data });
    await first.server.abandon();
    await first.folder[Symbol.asyncDispose]();
    await using second = await startEmbedded({ data, desired: { site: "berlin", peers: [], tenants: [] } });
    expect(second.server.adopted).toBe(true);
  });
});

describe("a server that could not write", () => {
  test("stays down when it crashes, until the sidecar restarts it or the next one comes", async () => {
    const events: ServerEvent[] = [];
    const first = await startEmbedded({ data, onEvent: (event) => void events.push(event) });
    const crash = async (exits: number) => {
      await killServer();
      const ends = () => events.filter((event) => event.type === "exited").length;
      await waitFor(() => ends() >= exits, { what: `exit ${exits}` });
    };
    await first.server.hold(true);
    await crash(1);
    // A keeper that has begun anew has looked whether there is one to be started.
    const keeper = await pidIn("keeper.pid");
    process.kill(keeper, "SIGKILL");
    await waitFor(() => events.some(({ type }) => type === "keeper_replaced"), { what: "a new keeper" });
    await startsNothing();
    await first.server.restart();
    await crash(2);
    await waitFor(async () => (await pidIn("nats.pid")) !== 0, { what: "one that may be started again" });
    await first.server.hold(true);
    await crash(3);
    await first.server.abandon();
    await first.folder[Symbol.asyncDispose]();
    await using second = await startEmbedded({ data });
    expect(second.server.adopted).toBe(false);
    expect((await readdir(data)).includes("nats.held")).toBe(false);
  }, 60_000);
});

describe("a server that was left quiet", () => {
  const start = async (tenants: readonly string[]) => {
    const desired = {
      site: "berlin",
      peers: [],
      tenants: tenants.map((tenant) => desiredTenant({ tenant })),
    };
    return await startEmbedded({ data, quiet: true, desired });
  };
  const leave = async ({ server, folder }: TestEmbedded) => {
    await server.abandon();
    await folder[Symbol.asyncDispose]();
  };

  test("is known as that by the next sidecar, which would have it quiet in other words", async () => {
    const first = await start(["acme"]);
    await leave(first);
    const second = await start(["acme", "globex"]);
    const config = await readFile(second.folder.file("config"), "utf8");
    // One that is too busy to read another configuration is started anew with it.
    expect([first.server.quiet, second.server.quiet]).toEqual([true, true]);
    expect([isClosedConfig(config), config.includes("T_globex")]).toEqual([true, true]);
    await leave(second);
    await writeFile(join(data, "nats.conf"), config.slice(config.indexOf("\n") + 1));
    await using third = await start(["acme", "globex"]);
    expect([third.server.quiet, third.server.adopted]).toEqual([false, true]);
  });

  test("is quiet also where its keeper is about to start it as the sidecar comes", async () => {
    const first = await start(["acme"]);
    await writeFile(
      join(data, "nats.conf"),
      (await readFile(join(data, "nats.conf"), "utf8")).replace(/^.*\n/, ""),
    );
    await leave(first);
    await killServer();
    await using second = await start(["acme"]);
    expect([second.server.quiet, second.server.adopted]).toEqual([true, false]);
    expect(isClosedConfig(await readFile(join(data, "nats.conf"), "utf8"))).toBe(true);
  });
});

describe("the data folder's lock", () => {
  test("of a process that is gone is taken over", async () => {
    const first = await DataFolder.open(data);
    await writeFile(first.file("sidecarPid"), "4194304 1\n");
    await using second = await DataFolder.open(data);
    expect(await readFile(second.file("sidecarPid"), "utf8")).toStartWith(`${process.pid} `);
  });

  test("of a process id that was used again is taken over", async () => {
    const first = await DataFolder.open(data);
    await writeFile(first.file("sidecarPid"), `${process.pid} 1\n`);
    await using _second = await DataFolder.open(data);
  });

  test("is given to one of many", async () => {
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => DataFolder.open(data)));
    const won = tries.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(won.length).toBe(1);
    await won[0]?.[Symbol.asyncDispose]();
  });
});
