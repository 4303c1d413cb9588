/** A source that is attached again leaves its stream as it was: no subject and no duplicate window of the server's own. */
import { expect, test } from "bun:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { type ApplyContext, applyStep } from "../../src/control/apply.ts";
import { TestServer } from "./flow_support.ts";

test("a stream whose only source is attached again has the same configuration", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const mesh = await jetstreamManager(nc);
  const api = "mesh.tokyo.API";
  await mesh.streams.add({
    name: "in_acme",
    duplicate_window: 0,
    sources: [{ name: "out_acme", external: { api, deliver: "" } }],
  });
  const before = (await mesh.streams.info("in_acme")).config;
  await applyStep({ mesh } as unknown as ApplyContext, {
    type: "reattach-source",
    account: { type: "mesh" },
    stream: "in_acme",
    api,
    source: "out_acme",
  });
  const after = (await mesh.streams.info("in_acme")).config;
  expect({ ...after, metadata: {} }).toEqual({ ...before, metadata: {} });
  expect([after.subjects ?? [], after.duplicate_window ?? 0]).toEqual([[], 0]);
}, 30_000);
