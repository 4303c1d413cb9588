/** When a server that cannot write is restarted, and how often. */
import { expect, test } from "bun:test";
import { type StoreReport, StoreWatch } from "../../../src/nats/store_watch.ts";
import type { StoringStatus } from "../../../src/nats/system_api.ts";
import { waitFor } from "../../support/wait_for.ts";

const GIB = 1024 ** 3;
const ON: StoringStatus = { type: "on" };
const OFF: StoringStatus = { type: "off" };
const BROKEN: StoringStatus = { type: "broken", streams: ["MESH/out_acme"] };

/** A disk and a server that do what a test says. */
class World {
  freeBytes = 50 * GIB;
  storing: StoringStatus | null = ON;
  now = 0;
  looks = 0;
  restarts = 0;
  readonly said: string[] = [];
  readonly stopped: boolean[] = [];
  restart: (signal: AbortSignal) => Promise<void> = async () => {};
  readonly watch = new StoreWatch({
    path: "/store",
    everyMs: 1,
    clock: () => this.now,
    space: async () => ({ freeBytes: this.freeBytes, totalBytes: 100 * GIB }),
    storing: async () => {
      this.looks++;
      return this.storing;
    },
    restart: async (signal) => {
      this.restarts++;
      await this.restart(signal);
    },
    stopped: async (stopped) => void this.stopped.push(stopped),
    log: (level, message) => this.said.push(`${level}: ${message}`),
  });

  /** Waits for looks that begin from now on. */
  async look(count = 2): Promise<void> {
    const until = this.looks + count;
    await waitFor(() => this.looks >= until, { pollMs: 1 });
  }

  async is(state: StoreReport["state"]): Promise<void> {
    await waitFor(() => this.watch.report?.state === state, { pollMs: 1, what: state });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watch[Symbol.asyncDispose]();
  }
}

test("a disk that is nearly full is said once, and so is its end; nothing is restarted", async () => {
  await using world = new World();
  await world.is("ok");
  world.freeBytes = GIB / 2;
  await world.is("low");
  await world.look(5);
  world.freeBytes = 50 * GIB;
  await world.is("ok");
  expect(world.said.map((text) => text.slice(0, 5))).toEqual(["warn:", "info:"]);
  expect(world.restarts).toBe(0);
});

test("a server whose JetStream is off is restarted when there is room, not before", async () => {
  await using world = new World();
  world.restart = async () => {
    world.storing = ON;
  };
  world.freeBytes = 1024;
  await world.is("low");
  world.storing = OFF;
  await world.is("stopped");
  await world.look(5);
  expect(world.restarts).toBe(0);
  expect(world.stopped).toEqual([true]);
  world.freeBytes = 50 * GIB;
  await world.is("ok");
  expect([world.restarts, world.stopped]).toEqual([1, [true, false]]);
});

test("a server whose JetStream comes back without a restart is restarted all the same: it may have missed what it was given", async () => {
  await using world = new World();
  world.freeBytes = 1024;
  await world.is("low");
  world.storing = OFF;
  await world.is("stopped");
  world.storing = ON;
  await world.look(5);
  expect([world.restarts, world.watch.report?.state]).toEqual([0, "stopped"]);
  world.freeBytes = 50 * GIB;
  await world.is("ok");
  expect(world.restarts).toBe(1);
});

test("a stream that is not ready for a moment is no reason; one that stays broken is, and is named", async () => {
  await using world = new World();
  world.restart = async () => {
    world.storing = ON;
  };
  world.storing = BROKEN;
  await waitFor(() => world.restarts === 1, { pollMs: 1 });
  expect(world.looks).toBeGreaterThanOrEqual(3);
  expect(world.said.join("\n")).toContain("MESH/out_acme");
});

test("a server that stays broken is restarted less and less often, and soon again after it was well", async () => {
  await using world = new World();
  world.storing = OFF;
  const restarts = async (count: number) => {
    await waitFor(() => world.restarts === count, { pollMs: 1, what: `restart ${count}` });
    await world.look(5);
    expect(world.restarts).toBe(count);
  };
  await restarts(1);
  world.now += 1999;
  await restarts(1);
  world.now += 1;
  await restarts(2);
  world.now += 3999;
  await restarts(2);
  world.now += 1;
  await restarts(3);
  // Up to five minutes.
  for (let count = 4; count < 14; count++) {
    world.now += 300_000;
    await restarts(count);
  }
  world.storing = ON;
  await world.look();
  world.now += 2000;
  await restarts(14);
  await world.is("ok");
  world.now += 2000;
  world.storing = OFF;
  await restarts(15);
  world.now += 2000;
  await restarts(16);
});

test("a server that does not answer is not restarted, unless that is because a restart failed", async () => {
  await using world = new World();
  world.storing = null;
  await world.look(10);
  expect(world.restarts).toBe(0);
  world.restart = async () => {
    world.storing = null;
    throw new Error("the disk was full again");
  };
  world.storing = OFF;
  await waitFor(() => world.restarts === 1, { pollMs: 1 });
  await world.look(5);
  expect(world.watch.report?.state).toBe("stopped");
  expect(world.restarts).toBe(1);
  world.restart = async () => {
    world.storing = ON;
  };
  world.now += 2000;
  await world.is("ok");
  expect(world.restarts).toBe(2);
  expect(world.said.filter((text) => text.includes("the disk was full again"))).toHaveLength(1);
});

test("a restart of which something failed is made again, less and less often, whatever the server says", async () => {
  await using world = new World();
  world.restart = async () => {
    world.storing = ON;
    throw new Error("its store was not looked at");
  };
  world.storing = BROKEN;
  await waitFor(() => world.restarts === 1, { pollMs: 1 });
  await world.look(5);
  expect([world.restarts, world.watch.report?.state]).toEqual([1, "stopped"]);
  world.now += 2000;
  await waitFor(() => world.restarts === 2, { pollMs: 1 });
  world.now += 2000;
  await world.look(5);
  expect(world.restarts).toBe(2);
  world.restart = async () => {};
  world.now += 2000;
  await world.is("ok");
  expect(world.restarts).toBe(3);
  expect(world.said.filter((text) => text.includes("its store was not looked at"))).toHaveLength(2);
});

test("its end waits for a restart that is under way, which is told to give up, and begins none", async () => {
  const world = new World();
  let begun = false;
  let ended = false;
  world.restart = async (signal) => {
    begun = true;
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    ended = true;
    throw new Error("gave up");
  };
  world.storing = OFF;
  await waitFor(() => begun, { pollMs: 1 });
  world.now += 600_000;
  await world[Symbol.asyncDispose]();
  expect([ended, world.restarts]).toEqual([true, 1]);
  expect(world.said.join("\n")).not.toContain("gave up");
});

test("a server is restarted once for another reason, and again until that was done", async () => {
  await using world = new World();
  await world.is("ok");
  let fails = 1;
  world.restart = async () => {
    if (fails-- > 0) throw new Error("it does not start");
  };
  world.now = 10_000;
  world.watch.restart("somebody listens");
  await waitFor(() => world.restarts === 1, { pollMs: 1 });
  expect(world.said).toContain("warn: somebody listens: nats-server is restarted");
  await world.is("stopped");
  world.now = 20_000;
  await waitFor(() => world.restarts === 2, { pollMs: 1 });
  await world.is("ok");
  await world.look(3);
  expect(world.restarts).toBe(2);
});
