/** Which replays are a danger, and what is counted of them. */
import { expect, test } from "bun:test";
import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import { Lasting } from "../../../../src/control/alarms/lasting.ts";
import { replayDangers, replayNumbers, replayStands } from "../../../../src/control/alarms/replays.ts";
import type { ObservedStreams } from "../../../../src/control/observe.ts";
import type { ReplayReport } from "../../../../src/model/replay.ts";

const REPLAY: ReplayReport = {
  id: "r1",
  tenant: "acme",
  target: { type: "peer", peer: "tokyo", policy: "orders" },
  origin: "berlin",
  from: 1,
  until: 100,
  subjects: null,
  rate: 500,
  dryRun: false,
  startedAt: "2026-01-01T00:00:00.000Z",
  endedAt: null,
  state: "running",
  why: null,
  stream: "out_acme",
  position: 40,
  missing: 0,
  looked: 40,
  forwarded: 30,
  dropped: 10,
  quarantined: 0,
  samples: [],
};
const FAILED = {
  ...REPLAY,
  state: "failed",
  endedAt: "2026-01-01T01:00:00.000Z",
  why: "the export is no more",
} as const;
const PATIENCE = { linkDownMs: 60_000, standsStillMs: 60_000 };

/** The replay's stream, of which the peer has taken so much. */
function mesh(taken: number, waiting: number): ObservedStreams {
  const consumer = { num_pending: waiting - 1, num_ack_pending: 1, ack_floor: { stream_seq: taken } };
  const consumers = new Map([["tokyo", consumer as unknown as ConsumerInfo]]);
  return new Map([["replay_acme_r1", { info: {} as StreamInfo, consumers }]]);
}

/** What is told at each second of two minutes that is a multiple of twenty. */
function told(of: (second: number) => ReplayReport, streams: (second: number) => ObservedStreams): string[] {
  let second = 0;
  const lasting = new Lasting(() => second * 1000);
  const found: string[] = [];
  for (; second <= 120; second += 20) {
    const stands = replayStands([of(second)], streams(second));
    const now = new Date("2026-01-01T02:00:00Z");
    for (const one of replayDangers(stands, lasting, PATIENCE, now))
      found.push(`${second} ${one.name} ${one.target}`);
    lasting.endRound();
  }
  return found;
}

test("a replay that neither decides nor is taken for a minute stands still, unless it is paused or has ended", () => {
  const still = () => mesh(7, 3);
  const stuck = [60, 80, 100, 120].map((second) => `${second} replay-not-moving acme/r1`);
  expect(told(() => REPLAY, still)).toEqual(stuck);
  expect(told(() => ({ ...REPLAY, state: "sent", position: 100 }), still)).toEqual(stuck);
  expect(told((second) => ({ ...REPLAY, position: 40 + second }), still)).toEqual([]);
  expect(
    told(
      () => ({ ...REPLAY, state: "sent", position: 100 }),
      (second) => mesh(second, 3),
    ),
  ).toEqual([]);
  expect(told(() => ({ ...REPLAY, state: "paused" }), still)).toEqual([]);
  expect(told(() => ({ ...REPLAY, state: "done" }), still)).toEqual([]);
});

test("one that has failed is told for a day, or until another one goes to the same place", () => {
  const at = (time: string, ...replays: ReplayReport[]) =>
    replayDangers(replayStands(replays, undefined), new Lasting(() => 0), PATIENCE, new Date(time));
  expect(at("2026-01-01T02:00:00Z", FAILED)).toEqual([
    {
      name: "replay-failed",
      target: "acme/r1",
      tenant: "acme",
      peer: "tokyo",
      detail:
        "the replay to tokyo has failed, 30 events were sent and up to 60 were not looked at: the export is no more",
    },
  ]);
  expect(at("2026-01-02T01:00:00Z", FAILED)).toEqual([]);
  const later = { ...REPLAY, id: "r2", state: "done" } as const;
  expect(at("2026-01-01T02:00:00Z", later, FAILED)).toEqual([]);
  expect(at("2026-01-01T02:00:00Z", { ...later, dryRun: true }, FAILED)).toHaveLength(1);
  expect(
    at("2026-01-01T02:00:00Z", { ...later, target: { type: "local", name: "again" } }, FAILED),
  ).toHaveLength(1);
});

test("what remains is what is not decided and what is not taken; of one that has ended nothing, for an hour", () => {
  const numbers = (replay: ReplayReport, time: string) =>
    replayNumbers(replayStands([replay], mesh(7, 3)), new Date(time));
  expect(numbers(REPLAY, "2026-01-01T02:00:00Z")).toEqual([
    {
      id: "r1",
      tenant: "acme",
      to: "tokyo",
      state: "running",
      forwarded: 30,
      dropped: 10,
      quarantined: 0,
      remaining: 63,
    },
  ]);
  expect(numbers(FAILED, "2026-01-01T01:30:00Z")).toMatchObject([{ state: "failed", remaining: 0 }]);
  expect(numbers(FAILED, "2026-01-01T02:30:00Z")).toEqual([]);
});
