/** What a peer does that is to take a source up again, against a real server. */
import { expect, test } from "bun:test";
import { AgainAsk, takeOutAgain } from "../../../src/control/rollback/again.ts";
import { detachedSources } from "../../../src/control/source_repair.ts";
import { SourceWaits } from "../../../src/control/source_waits.ts";
import { startJetStream } from "./jetstream.ts";

test("takes out the one source, where its stream is", async () => {
  expect(AgainAsk.safeParse({ tenant: "acme", stream: "out_acme" }).success).toBe(true);
  expect(AgainAsk.safeParse({ tenant: "acme", stream: "out_acme", has: 1 }).success).toBe(false);
  await using server = await startJetStream();
  const src = (name: string) => ({ name, external: { api: "mesh.berlin.API", deliver: "d.x" } });
  await server.jsm.streams.add({
    name: "in_acme",
    storage: "memory",
    sources: [src("out_acme"), src("view_acme_a")],
  } as never);
  await takeOutAgain(
    { mesh: server.jsm, tenant: undefined, waits: new SourceWaits(() => performance.now()) } as never,
    "berlin",
    { tenant: "acme", stream: "out_acme" },
  );
  const { config } = await server.jsm.streams.info("in_acme");
  expect(config.sources?.map((s) => s.name)).toEqual(["view_acme_a"]);
  expect(detachedSources(config).map((s) => s.name)).toEqual(["out_acme"]);
});
