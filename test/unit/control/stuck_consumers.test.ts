import { describe, expect, test } from "bun:test";
import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import type { ObservedStreams } from "../../../src/control/observe.ts";
import { StuckConsumers } from "../../../src/control/stuck_consumers.ts";

type Fields = Partial<Pick<ConsumerInfo, "num_pending" | "num_ack_pending" | "push_bound" | "paused">> & {
  readonly at?: number;
  readonly acked?: number;
};

function consumer({ at = 7, acked = 7, ...fields }: Fields): ConsumerInfo {
  return {
    config: { deliver_subject: "deliver.berlin.austin.acme.out_acme" },
    delivered: { stream_seq: at, consumer_seq: at },
    ack_floor: { stream_seq: acked, consumer_seq: acked },
    num_pending: 3,
    num_ack_pending: 0,
    push_bound: true,
    ...fields,
  } as unknown as ConsumerInfo;
}

function streams(consumers: Readonly<Record<string, Fields>>, stream = "out_acme"): ObservedStreams {
  const found = Object.entries(consumers).map(([name, fields]) => [name, consumer(fields)] as const);
  return new Map([[stream, { info: {} as StreamInfo, consumers: new Map(found) }]]);
}

/** What is done at which second, looked at every `everySeconds` for five minutes, where peers have stored `stored`. */
function attempts(
  of: (second: number) => ObservedStreams,
  everySeconds = 2,
  stored: (second: number) => number | null = () => 7,
): string[] {
  let second = 0;
  const stuck = new StuckConsumers(() => second * 1000);
  const found: string[] = [];
  for (; second < 300; second += everySeconds) {
    for (const one of stuck.find(of(second))) {
      const at = stored(second);
      const own = one.consumer === "log_";
      if (own || (at !== null && stuck.stands(one, at))) found.push(`${second} ${one.consumer} ${one.by}`);
    }
  }
  return found;
}

describe("StuckConsumers", () => {
  test("asks the peer, sets back when it is asked again, then has the link made anew, later each time", () => {
    expect(attempts(() => streams({ austin: {} }))).toEqual([
      "32 austin reset",
      "62 austin link",
      "122 austin link",
      "242 austin link",
    ]);
  });

  test("leaves a consumer alone whose peer stores what is on its way, or cannot be asked", () => {
    expect(
      attempts(
        () => streams({ austin: {} }),
        2,
        (second) => second,
      ),
    ).toEqual([]);
    expect(
      attempts(
        () => streams({ austin: {} }),
        2,
        () => null,
      ),
    ).toEqual([]);
  });

  test.each([
    ["nothing waits", { num_pending: 0 }],
    ["nobody takes it", { push_bound: false }],
    ["it is paused", { paused: true }],
  ] as const)("leaves a consumer alone where %s", (_, fields) => {
    expect(attempts(() => streams({ austin: fields }))).toEqual([]);
  });

  test("counts what is delivered and not acknowledged", () => {
    expect(attempts(() => streams({ austin: { num_pending: 0, num_ack_pending: 9 } }))[0]).toBe(
      "32 austin reset",
    );
  });

  test("leaves a consumer alone that moves, however slowly", () => {
    expect(attempts((second) => streams({ austin: { at: Math.floor(second / 14) } }))).toEqual([]);
    expect(attempts((second) => streams({ austin: { acked: Math.floor(second / 14) } }))).toEqual([]);
  });

  test("begins again with a reset when it has moved", () => {
    expect(attempts((second) => streams({ austin: { at: second < 70 ? 7 : 8 } })).slice(0, 4)).toEqual([
      "32 austin reset",
      "62 austin link",
      "102 austin reset",
      "132 austin link",
    ]);
  });

  test("cuts no link that something else goes over", () => {
    const both = (second: number): ObservedStreams =>
      new Map([
        ...streams({ austin: {} }, "view_acme_eu"),
        ...streams({ austin: { at: second } }, "out_acme"),
      ]);
    expect(new Set(attempts(both).map((one) => one.split(" ")[2]))).toEqual(new Set(["reset"]));
  });

  test("cuts a link once for all that stand still behind it", () => {
    const both = () =>
      new Map([...streams({ austin: {} }, "view_acme_eu"), ...streams({ austin: {} }, "out_acme")]);
    expect(attempts(both).slice(0, 3)).toEqual(["32 austin reset", "32 austin reset", "62 austin link"]);
  });

  test("attaches a log again, and never cuts a link for it", () => {
    expect(attempts(() => streams({ log_: {} })).slice(0, 3)).toEqual([
      "16 log_ reset",
      "32 log_ attach",
      "62 log_ attach",
    ]);
  });

  test("a sidecar that was stopped for long looks first", () => {
    expect(attempts(() => streams({ austin: {} }), 100)).toEqual([]);
  });
});
