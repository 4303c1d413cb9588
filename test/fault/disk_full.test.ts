/** A sidecar that is killed while the disk of its server is full: the next one adopts a server that stores nothing any more. */
import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { faults, Load } from "../support/ledger.ts";
import { startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { fillDisk, mayMount, mountDisk } from "../support/small_disk.ts";
import { TWO_KINDS, twoKinds } from "../support/two_kinds.ts";
import { waitFor } from "../support/wait_for.ts";

const DISK_BYTES = 128 * 1024 ** 2;
const TIMEOUT_MS = 240_000;
const WAITS = /the start waits until there is room/g;
const AGAIN = /attach .* again: it is silent/g;
const BEGUN = /has begun to lead/g;

test(
  "a server that a full disk has stopped is restarted by the next sidecar once there is room, and nothing is lost",
  async () => {
    if (mayMount()) return await stoppedTwice();
    // Who is not root is so in a namespace of its own, with mounts of its own.
    const self = [process.execPath, "test", "--timeout", `${TIMEOUT_MS}`, fileURLToPath(import.meta.url)];
    execFileSync("unshare", ["--user", "--map-root-user", "--mount", ...self], { stdio: "pipe" });
  },
  TIMEOUT_MS,
);

async function stoppedTwice(): Promise<void> {
  let unmount = () => {};
  await using stack = new AsyncDisposableStack();
  stack.defer(() => unmount());
  const mesh = stack.use(
    await startMesh({
      sites: { berlin: ["austin"], austin: [] },
      tenants: twoKinds,
      prepare: (dataFolder) => {
        if (dataFolder.includes("/austin/")) unmount = mountDisk(join(dataFolder, "store"), DISK_BYTES);
      },
    }),
  );
  // The sites end before their disk does, and that before their files are removed.
  stack.defer(async () => {
    await Promise.all(mesh.sites.map((site) => site.close()));
    unmount();
    unmount = () => {};
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const loads = await Promise.all(
    TWO_KINDS.map(
      async (tenant) =>
        new Load(await berlin.app(tenant), {
          subject: (n) => `${tenant}.orders.k${n % 5}`,
          batch: 5,
          pauseMs: 50,
        }),
    ),
  );
  const far = await Promise.all(TWO_KINDS.map((tenant) => austin.app(tenant)));
  const read = async (index: number) => {
    const [tenant, nc] = [TWO_KINDS[index], far[index]];
    if (tenant === undefined || nc === undefined) throw new Error(`no tenant ${index}`);
    return await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
  };
  /** Waits until events that are published from now on arrive: what is behind is being caught up with, or was already. */
  const flows = async () => {
    const least = loads.map(({ count }) => count + 1);
    const arrived = async () =>
      (await Promise.all(least.map(async (count, index) => (await read(index)).length >= count))).every(
        Boolean,
      );
    await waitFor(arrived, { what: `${least} events of each tenant`, deadlineMs: 60_000 });
  };
  /** Waits until the logs get nothing more. */
  const settled = async () => {
    let before = -1;
    const same = async () => {
      const now = (await read(0)).length + (await read(1)).length;
      const isSame = now === before;
      before = now;
      return isSame;
    };
    await waitFor(same, { what: "the logs to get nothing more", pollMs: 500 });
  };
  const timesSaid = async (pattern: RegExp) => (await austin.log()).match(pattern)?.length ?? 0;
  const says = async (pattern: RegExp, times: number) =>
    await waitFor(async () => (await timesSaid(pattern)) >= times, {
      what: `austin to say ${pattern} ${times} times`,
      deadlineMs: 60_000,
    });
  const server = async () => (await readRunningProcess(join(austin.dataFolder, "nats.pid")))?.pid;
  /** Fills the disk, and kills the sidecar when it has seen that the server stores nothing. */
  const killedWhileFull = async (times: number) => {
    const free = fillDisk(join(austin.dataFolder, "store"));
    await says(/nats-server has stopped .*Publishes are refused/g, times);
    await austin.end("SIGKILL");
    return free;
  };
  await flows();

  // A server that crashes while it could not write is not started as it was.
  const room = fillDisk(join(austin.dataFolder, "store"));
  await says(/nats-server has stopped .*Publishes are refused/g, 1);
  process.kill(await waitFor(server), "SIGKILL");
  await says(/server exited/g, 1);
  expect(await server()).toBeUndefined();
  await room();
  await flows();

  const first = await server();
  await (await killedWhileFull(2))();
  await austin.start();
  expect(await server()).not.toBe(first);
  await flows();

  const free = await killedWhileFull(3);
  const started = austin.start();
  started.catch(() => undefined);
  await says(WAITS, 1);
  await free();
  await started;
  expect(await timesSaid(WAITS)).toBe(1);
  await flows();

  // No source can be put in on a full disk: nothing is stored, so the server is not stopped.
  const other = (await readRunningProcess(join(berlin.dataFolder, "nats.pid")))?.pid ?? 0;
  process.kill(other, "SIGSTOP");
  await settled();
  await austin.end("SIGTERM");
  const begun = await timesSaid(BEGUN);
  const again = austin.start();
  again.catch(() => undefined);
  await says(BEGUN, begun + 1);
  const freed = fillDisk(join(austin.dataFolder, "store"));
  process.kill(other, "SIGCONT");
  await says(/attach .* to in_acme, .*no space left on device/g, 1);
  await says(/attach .* to in_globex, .*no space left on device/g, 1);
  // What the server shows of them may never ask. It is left alone as long as there is no room, and put in anew when there is.
  await says(/store-low raised/g, 1);
  await Bun.sleep(4000);
  expect(await timesSaid(AGAIN)).toBe(0);
  await freed();
  await again;
  await flows();

  for (const load of loads) await load.stop();
  for (const [index, load] of loads.entries()) {
    await waitFor(async () => (await read(index)).length >= load.count, {
      what: "the rest",
      deadlineMs: 60_000,
    });
    const events = await read(index);
    expect(events.length).toBe(load.count);
    expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  }
}
