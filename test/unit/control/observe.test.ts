import { expect, test } from "bun:test";
import { JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import { clusterNames } from "../../../src/control/cluster_names.ts";
import { observeMesh } from "../../../src/control/observe.ts";
import { startJetStream } from "./jetstream.ts";

test("observeMesh() does not take a consumer of ours that has no leader for one that is not there", async () => {
  await using server = await startJetStream();
  const { jsm, nc } = server;
  await jsm.streams.add({ name: "out_acme", subjects: ["berlin.acme.>"] });
  for (const durable_name of ["tokyo", "log_", "view_eu", "someone"]) {
    await jsm.consumers.add("out_acme", { durable_name, ack_policy: "explicit" });
  }
  const names = clusterNames(nc, new Set(["tokyo"]));
  const all = [...((await observeMesh(jsm, names)).get("out_acme")?.consumers.keys() ?? [])];
  expect(all.toSorted()).toEqual(["log_", "someone", "tokyo", "view_eu"]);

  /** As a cluster answers where one has no leader: it is in no list, and nobody tells of it. */
  const without = (left: string, gone = false): JetStreamManager =>
    ({
      streams: jsm.streams,
      consumers: {
        async *list(stream: string) {
          for await (const one of jsm.consumers.list(stream)) if (one.name !== left) yield one;
        },
        info: async () => {
          if (gone)
            throw new JetStreamApiError({ code: 404, err_code: 10014, description: "consumer not found" });
          throw new Error("timeout");
        },
      },
    }) as unknown as JetStreamManager;
  for (const name of ["tokyo", "log_", "view_eu"]) {
    await expect(observeMesh(without(name), names)).rejects.toThrow(
      `Consumer ${name} of out_acme has no leader now`,
    );
  }
  // One that was removed meanwhile, and one of somebody else.
  expect((await observeMesh(without("tokyo", true), names)).get("out_acme")?.consumers.size).toBe(3);
  expect((await observeMesh(without("someone"), names)).get("out_acme")?.consumers.size).toBe(3);
});
