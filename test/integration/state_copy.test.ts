/** The copy of the state beside the store, while the server is deaf. */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { StateCopy } from "../../src/control/rollback/state_copy.ts";
import { STATE_BUCKET, stateKey } from "../../src/model/names.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { TestServer } from "./flow_support.ts";

test("StateCopy settles although the server, which reads its configuration anew, does not answer at first", async () => {
  await using server = await TestServer.start();
  await using folder = await tempFolder();
  const nc = await server.connect();
  const js = jetstream(nc);
  const real = await jetstreamManager(nc);
  let deaf = 3;
  const info: typeof real.streams.info = async (...asked) => {
    if (deaf-- > 0)
      throw Object.assign(new Error("jetstream is not enabled"), { name: "JetStreamNotEnabled" });
    return await real.streams.info(...asked);
  };
  const streams = new Proxy(real.streams, {
    get: (of, name) => (name === "info" ? info : Reflect.get(of, name)),
  });
  const jsm = new Proxy(real, { get: (of, name) => (name === "streams" ? streams : Reflect.get(of, name)) });
  const kv = await new Kvm(js).create(STATE_BUCKET);
  await kv.put(stateKey.site, "{}");
  await using copy = await StateCopy.open({ folder: folder.path, js, jsm, log: () => {} });
  const revision = await kv.put(stateKey.site, '{"site":"berlin"}');
  await copy.settled();
  expect(deaf).toBe(-1);
  const text = await readFile(join(folder.path, "state.copy.json"), "utf8");
  expect(JSON.parse(text)).toMatchObject({ revision });
});
