import { expect, test } from "bun:test";
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { LAYOUT, LAYOUT_METADATA, MIGRATIONS, migrateLayout } from "../../../src/control/layout.ts";
import { STATE_STREAM } from "../../../src/model/names.ts";

/** Streams in memory, each with the layout that it says. */
function streamsOf(layouts: Readonly<Record<string, string | null>>) {
  const configs = new Map(
    Object.entries(layouts).map(([name, layout]) => [
      name,
      { name, metadata: layout === null ? {} : { [LAYOUT_METADATA]: layout } } as unknown as StreamConfig,
    ]),
  );
  const streams = {
    list: async function* () {
      for (const config of configs.values()) yield { config };
    },
    info: async (name: string) => ({ config: configs.get(name) }),
    update: async (name: string, config: StreamConfig) => void configs.set(name, config),
  };
  return {
    mesh: { streams } as unknown as JetStreamManager,
    layout: (name: string) => configs.get(name)?.metadata?.[LAYOUT_METADATA],
  };
}

const log = () => {};

test("MIGRATIONS lead from each layout to the next, up to that of this version", () => {
  expect(MIGRATIONS.map(({ from }) => from)).toEqual(Array.from({ length: LAYOUT }, (_, from) => from));
});

test("migrateLayout() goes step by step, notes each, and goes on where it was cut short", async () => {
  const site = streamsOf({ [STATE_STREAM]: "1", out_acme: "1" });
  const done: number[] = [];
  let fails = true;
  const migrations = [0, 1, 2, 3].map((from) => ({
    from,
    what: `step ${from}`,
    run: async () => {
      if (from === 2 && fails) throw new Error("cut short");
      done.push(from);
    },
  }));
  const migrate = () => migrateLayout({ ...site, fresh: false, log, migrations, known: 4 });
  await expect(migrate()).rejects.toThrow("cut short");
  expect(site.layout(STATE_STREAM)).toBe("2");
  fails = false;
  await migrate();
  expect(done).toEqual([1, 2, 3]);
  expect(site.layout(STATE_STREAM)).toBe("4");
  await migrate();
  expect(done).toEqual([1, 2, 3]);
});

test("migrateLayout() stamps what is new, and migrates nothing of it", async () => {
  const site = streamsOf({ [STATE_STREAM]: null });
  const said: string[] = [];
  await migrateLayout({ ...site, fresh: true, log: (text) => said.push(text) });
  expect(site.layout(STATE_STREAM)).toBe(String(LAYOUT));
  expect(said).toEqual([]);
});

test("migrateLayout() refuses what a newer version has left, also in a single stream, and leaves streams of others alone", async () => {
  for (const layout of [String(LAYOUT + 1), "two"]) {
    for (const name of [STATE_STREAM, "view_acme_orders"]) {
      const site = streamsOf({ [STATE_STREAM]: "0", [name]: layout });
      const migrated = migrateLayout({ ...site, fresh: false, log });
      await expect(migrated).rejects.toMatchObject({ code: "layout_newer" });
      expect(site.layout(name)).toBe(layout);
    }
  }
  const others = streamsOf({ [STATE_STREAM]: String(LAYOUT), somebodys: "99" });
  await migrateLayout({ ...others, fresh: false, log });
});
