/** A state bucket that is lost: the site file of the first start must not allow again what was forbidden since. */
import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { loadSigningKey } from "../../src/nats/keys.ts";
import { letIn } from "../support/let_in.ts";
import { startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

test("a sidecar whose state is gone does not start with the policies of long ago, unless it is told to", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  const berlin = mesh.site("berlin");
  const path = "/v1/tenants/acme/exports/out";
  const etag = (await berlin.api("GET", path)).headers.get("etag") ?? "";
  const removed = await berlin.api("DELETE", `${path}?wait=true`, undefined, { "if-match": etag });
  expect(removed.status).toBe(204);
  const key = await loadSigningKey(join(berlin.dataFolder, "keys", "mesh.nk"));
  const nc = await letIn({
    servers: berlin.file.server?.listen ?? "",
    authenticator: key.authenticator,
  });
  await (await jetstreamManager(nc, { checkAPI: false })).streams.delete("KV_leafmesh_state");
  await nc.close();
  await berlin.end("SIGTERM");

  // It ends at once; the helper would go on waiting for it.
  void berlin.start().catch(() => undefined);
  await waitFor(async () => (await berlin.log()).includes("(bucket leafmesh_state) is gone"));
  await rm(join(berlin.dataFolder, "desired.json"));
  await berlin.start();
  expect((await berlin.api("GET", path)).status).toBe(200);
}, 60_000);
