/** What becomes of a server that is waited for and that a full disk has stopped. */
import { expect, test } from "bun:test";
import { StoppedStore } from "../../../src/nats/stopped_store.ts";
import type { StoringStatus } from "../../../src/nats/system_api.ts";

const GIB = 1024 ** 3;

class World {
  freeBytes = 50 * GIB;
  storing: StoringStatus | null = { type: "on" };
  now = 0;
  restarts = 0;
  readonly said: string[] = [];
  readonly store = new StoppedStore({
    path: "/store",
    clock: () => this.now,
    space: async () => ({ freeBytes: this.freeBytes, totalBytes: 100 * GIB }),
    storing: async () => this.storing,
    restart: async () => {
      this.restarts++;
    },
    say: (level, message) => this.said.push(`${level}: ${message}`),
  });

  /** Looks once a second. */
  async looks(count: number, exited = false): Promise<string[]> {
    const found: string[] = [];
    for (let look = 0; look < count; look++) {
      found.push(await this.store.look(exited));
      this.now += 1000;
    }
    return found;
  }
}

test("StoppedStore restarts a server that stores nothing for some looks, and looks once a second", async () => {
  const world = new World();
  world.storing = { type: "off" };
  for (let look = 0; look < 20; look++) await world.store.look(false);
  expect(world.restarts).toBe(0);
  world.now += 1000;
  expect(await world.looks(2)).toEqual(["nothing", "restarted"]);
});

test("StoppedStore leaves a server alone that does not answer, that recovers, or that stores", async () => {
  const world = new World();
  expect(new Set(await world.looks(10))).toEqual(new Set(["nothing"]));
  world.storing = null;
  expect(new Set(await world.looks(10))).toEqual(new Set(["nothing"]));
  world.storing = { type: "broken", streams: ["MESH/out_acme"] };
  expect(await world.looks(2)).toEqual(["nothing", "nothing"]);
  world.storing = { type: "on" };
  expect(await world.looks(2)).toEqual(["nothing", "nothing"]);
  expect([world.restarts, world.said]).toEqual([0, []]);
});

test("StoppedStore says once that it waits for room, and then restarts at once", async () => {
  const world = new World();
  world.freeBytes = 1024;
  world.storing = { type: "off" };
  expect(new Set(await world.looks(30))).toEqual(new Set(["full"]));
  expect(world.said).toHaveLength(1);
  expect(world.said[0]).toContain("/store (1.0 KiB of 100 GiB free): the start waits until there is room");
  world.freeBytes = 50 * GIB;
  expect(await world.looks(1)).toEqual(["restarted"]);
});

test("StoppedStore waits for room where the server cannot start", async () => {
  const world = new World();
  world.storing = null;
  expect(await world.looks(1, true)).toEqual(["nothing"]);
  world.freeBytes = 1024;
  expect(await world.looks(2)).toEqual(["nothing", "nothing"]);
  expect(await world.looks(1, true)).toEqual(["full"]);
  world.freeBytes = 50 * GIB;
  expect(await world.looks(1)).toEqual(["restarted"]);
});

test("StoppedStore restarts a server that stays stopped less and less often", async () => {
  const world = new World();
  world.storing = { type: "off" };
  const found = await world.looks(20);
  const at = found.flatMap((look, second) => (look === "restarted" ? [second] : []));
  expect(at).toEqual([2, 5, 9, 17]);
});
