import { expect, test } from "bun:test";
import type { JetStreamManager } from "@nats-io/jetstream";
import { CUT, CUT_DELIVERED, switchPosition } from "../../../src/control/switch.ts";

const OLD = { stream: "out_acme", consumer: "tokyo", source: "out_acme" };

/** A paused consumer of a stream with 7100 events, the last of which came after the pause. */
function meshWith(consumer: {
  readonly delivered: number;
  readonly floor: number;
  readonly metadata?: Record<string, string>;
}): JetStreamManager {
  return {
    streams: { info: async () => ({ state: { first_seq: 1, last_seq: 7100 } }) },
    consumers: {
      info: async () => ({
        config: { opt_start_seq: 1, metadata: consumer.metadata ?? {} },
        delivered: { stream_seq: consumer.delivered },
        ack_floor: { stream_seq: consumer.floor },
      }),
    },
  } as unknown as JetStreamManager;
}

const NOTED = { [CUT]: "7088", [CUT_DELIVERED]: "7080" };

test("switchPosition() goes on after all that was considered, where the peer has all that was delivered", async () => {
  const mesh = meshWith({ delivered: 7080, floor: 7000, metadata: NOTED });
  expect(await switchPosition(mesh, OLD, 7080)).toBe(7088);
  expect(await switchPosition(mesh, OLD, 7079)).toBe(7079);
});

test("switchPosition() goes on after what the peer has, where it had the consumer go back for what was lost on the way", async () => {
  const mesh = meshWith({ delivered: 5928, floor: 5928, metadata: NOTED });
  expect(await switchPosition(mesh, OLD, 5928)).toBe(5928);
});

test("switchPosition() trusts no cut that does not say what was delivered", async () => {
  const mesh = meshWith({ delivered: 7080, floor: 7080, metadata: { [CUT]: "7088" } });
  expect(await switchPosition(mesh, OLD, 7080)).toBe(7080);
});

test("switchPosition() takes a peer that names more than there is for one of an earlier stream", async () => {
  const mesh = meshWith({ delivered: 100, floor: 40 });
  expect(await switchPosition(mesh, OLD, 9000)).toBe(40);
});
