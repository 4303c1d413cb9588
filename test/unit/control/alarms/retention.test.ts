/** When retention will drop what somebody has not taken yet. */
import { expect, test } from "bun:test";
import {
  type OldestWaiting,
  RetentionWatch,
  type StreamReader,
} from "../../../../src/control/alarms/retention.ts";

const DAY_MS = 86_400_000;
const NOW = 100 * DAY_MS;

interface World {
  readonly maxAgeMs?: number;
  readonly maxBytes?: number;
  readonly discard?: string;
  readonly firstMs?: number;
  readonly first?: number;
  readonly last: number;
  readonly floor: number;
  readonly pending?: number;
}

/** Events of 100 bytes. */
function reader({
  maxAgeMs = 0,
  maxBytes = -1,
  discard = "old",
  firstMs = NOW,
  first = 1,
  last,
  floor,
  pending,
}: World) {
  return {
    target: "acme/orders/tokyo",
    tenant: "acme",
    peer: "tokyo",
    info: {
      config: { name: "out_acme", max_age: maxAgeMs * 1e6, max_bytes: maxBytes, discard },
      state: {
        messages: last - first + 1,
        bytes: (last - first + 1) * 100,
        first_seq: first,
        last_seq: last,
        first_ts: new Date(firstMs).toISOString(),
      },
    },
    consumer: {
      num_pending: pending ?? last - floor,
      num_ack_pending: 0,
      ack_floor: { stream_seq: floor },
      config: { filter_subjects: ["berlin.acme.>"] },
    },
  } as unknown as StreamReader;
}

function watching() {
  let clock = 0;
  let oldest: OldestWaiting | null = null;
  const asked: number[] = [];
  const watch = new RetentionWatch({
    horizon: { withinMs: 3_600_000, share: 0.2 },
    oldest: async (_stream, from) => {
      asked.push(from);
      return oldest;
    },
    clock: () => clock,
    now: () => NOW,
  });
  return {
    asked,
    see: async (world: World, laterMs: number, first: OldestWaiting | null) => {
      clock += laterMs;
      oldest = first;
      return (await watch.find([reader(world)])).map(({ detail }) => detail);
    },
  };
}

test("a peer that has all, or is little behind, is in no danger, and costs no look into the stream", async () => {
  const { see, asked } = watching();
  const week = { maxAgeMs: 7 * DAY_MS, maxBytes: 1e9, last: 1000 };
  expect(await see({ ...week, floor: 1000 }, 0, null)).toEqual([]);
  expect(await see({ ...week, floor: 900 }, 2000, null)).toEqual([]);
  expect(asked).toEqual([]);
});

test("age: by the time of the oldest that waits, not of the oldest that is stored", async () => {
  const { see, asked } = watching();
  const old = { maxAgeMs: 10 * DAY_MS, firstMs: NOW - 9.9 * DAY_MS, last: 1000, floor: 900 };
  expect(await see(old, 0, { sequence: 901, timeMs: NOW - DAY_MS })).toEqual([]);
  expect(await see({ ...old, floor: 10 }, 0, { sequence: 11, timeMs: NOW - 10 * DAY_MS + 90_000 })).toEqual([
    "990 events (about 96.7 KiB) of out_acme wait for tokyo, from 11 on: the first is dropped in 1m 30s for limits.maxAge",
  ]);
  await see({ ...old, floor: 10 }, 0, null);
  // What was found of a peer that does not move still holds.
  expect(asked).toEqual([901, 11]);
});

test("size: by what the backlog grows, once that is known", async () => {
  const { see } = watching();
  const full = { maxBytes: 100_000, floor: 0 };
  const first = { sequence: 1, timeMs: NOW };
  expect(await see({ ...full, last: 100 }, 0, first)).toEqual([]);
  expect(await see({ ...full, last: 200 }, 10_000, first)).toEqual([
    "200 events (about 19.5 KiB) of out_acme wait for tokyo, from 1 on: the first is dropped in 1m 20s at 1000 B/s for limits.storage, of which it takes 20 %",
  ]);
  // A peer that takes more than comes.
  expect(await see({ ...full, last: 300, floor: 250 }, 10_000, { sequence: 251, timeMs: NOW })).toEqual([]);
});

test("size: when little room is left, though nothing is published", async () => {
  const { see } = watching();
  const standing = { maxBytes: 100_000, last: 850, floor: 0 };
  expect(await see(standing, 0, { sequence: 1, timeMs: NOW })).toEqual([
    "850 events (about 83.0 KiB) of out_acme wait for tokyo, from 1 on: the next that are published drive the first out for limits.storage, of which it takes 85 %",
  ]);
  // One event that a narrow filter wants, the newest: all before it is nobody's loss.
  expect(await see({ ...standing, pending: 1 }, 0, { sequence: 850, timeMs: NOW })).toHaveLength(1);
  expect(await see({ ...standing, pending: 1, floor: 1 }, 0, { sequence: 850, timeMs: NOW })).toEqual([]);
  // A stream that refuses drops nothing for its size.
  expect(await see({ ...standing, discard: "new", floor: 2 }, 0, { sequence: 3, timeMs: NOW })).toEqual([]);
});
