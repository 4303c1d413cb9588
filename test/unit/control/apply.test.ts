/** Steps against a real server. */
import { expect, test } from "bun:test";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
import { viewSpec } from "../../../src/control/assets.ts";
import { layoutMetadata } from "../../../src/control/layout.ts";
import { planExports } from "../../../src/control/routes.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream } from "./jetstream.ts";

const plan = planExports(
  berlin([
    {
      tenant: "acme",
      exports: [{ name: "orders", to: ["austin"], rules: [{ subjects: ["acme.>"], when: "size > 1" }] }],
    },
  ]),
)[0]!;

test("applyStep() begins a view with nothing in it when the server brings back an older one of its name", async () => {
  await using server = await startJetStream();
  const spec = viewSpec("berlin", plan);
  // As a server leaves it that has not yet removed all of a stream that was deleted.
  await server.jsm.streams.add({
    ...spec,
    metadata: { ...spec.metadata, ...layoutMetadata(), "leafmesh-after": "0" },
  } as never);
  for (let n = 0; n < 3; n++) await server.js.publish("berlin~orders.acme.x");
  const context = { site: "berlin", mesh: server.jsm } as ApplyContext;
  await applyStep(context, { type: "create-view", plan, spec, from: [], since: null });
  expect((await server.jsm.streams.info(spec.name)).state.messages).toBe(0);
});
