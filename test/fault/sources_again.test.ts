/** A server that starts anew has its sources go on after what it stored, also where the newest of that is gone, or the exporter's stream is another one. */
import { expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { logStream, tenantApiPrefix } from "../../src/model/names.ts";
import { startPair } from "../support/mesh.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

test("what was delivered and then erased does not come again; a stream that was made anew is read from its begin", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const publish = async (name: string) => await js.publish("acme.orders.x", name);
  const stored = async () => {
    await using there = await austin.mesh();
    return (await readAll(there.jsm, "in_acme")).map((message) => message.string());
  };
  const has = async (name: string) =>
    await waitFor(async () => (await stored()).at(-1) === name, { what: name, deadlineMs: 30_000 });
  // An exporter hears of what was stored with the next heartbeat.
  const acknowledged = async (sequence: number) => {
    await using there = await berlin.mesh();
    await waitFor(
      async () => (await there.jsm.consumers.info("out_acme", "austin")).ack_floor.stream_seq === sequence,
      { deadlineMs: 30_000, what: `acknowledgement of ${sequence}` },
    );
  };
  for (const name of ["1", "2", "3", "4", "5"]) await publish(name);
  await has("5");
  await acknowledged(5);
  {
    await using there = await austin.mesh();
    const acme = await jetstreamManager(there.nc, { apiPrefix: tenantApiPrefix("acme"), checkAPI: false });
    await waitFor(async () => (await acme.streams.info(logStream("acme"))).state.messages === 5);
    for (const sequence of [4, 5]) {
      await there.jsm.streams.deleteMessage("in_acme", sequence, true);
      await acme.streams.deleteMessage(logStream("acme"), sequence, true);
    }
  }
  await austin.end("SIGTERM");
  await austin.start();
  await mesh.flowing();
  await publish("6");
  await has("6");
  expect(await stored()).toEqual(["1", "2", "3", "6"]);
  {
    await using there = await austin.mesh();
    const acme = await jetstreamManager(there.nc, { apiPrefix: tenantApiPrefix("acme"), checkAPI: false });
    await waitFor(async () => (await acme.streams.info(logStream("acme"))).state.messages >= 4);
    expect((await acme.streams.info(logStream("acme"))).state.messages).toBe(4);
  }

  await austin.end("SIGTERM");
  {
    await using there = await berlin.mesh();
    await there.jsm.streams.delete("out_acme");
    await waitFor(async () => (await there.jsm.consumers.info("out_acme", "austin")).name === "austin", {
      deadlineMs: 30_000,
    });
  }
  await publish("7");
  await publish("8");
  await austin.start();
  await has("8");
  expect(await stored()).toEqual(["1", "2", "3", "6", "7", "8"]);
}, 180_000);
