import { expect, test } from "bun:test";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { Contention } from "../../../src/flow/contention.ts";

const STREAMS = { sourceStream: "out_acme", viewStream: "view_acme_eu", consumer: "view_eu" };

/** A worker that was fenced out twice, beside another one that reads; the view's state is asked for and not answered yet. */
function contended() {
  const answer = Promise.withResolvers<unknown>();
  const lost = Promise.withResolvers<never>();
  async function* list() {
    yield { name: `${STREAMS.consumer}_x`, num_waiting: 1 };
  }
  const jsm = { streams: { info: () => answer.promise }, consumers: { list } } as unknown as JetStreamManager;
  const contention = new Contention({} as NatsConnection, jsm, STREAMS, AbortSignal.abort());
  contention.met();
  contention.met();
  const confirmed: number[] = [];
  contention.ended({ viewStart: 0, stored: 0, confirm: (sequence) => confirmed.push(sequence) > 0 });
  const connection = { during: <T>(request: Promise<T>) => Promise.race([request, lost.promise]) };
  return { contention, confirmed, connection, answer, lost };
}

test("a worker beside another one that reads stands by, and does not count what that one may have written", async () => {
  const { contention, confirmed, connection, answer } = contended();
  answer.resolve({ state: { last_seq: 5 } });
  expect(await contention.mustStandBy(connection)).toBe(true);
  contention.confirm(5, 5);
  expect(confirmed).toEqual([]);
});

test("what is asked when the connection is lost ends with it, and changes nothing when it is answered after all", async () => {
  for (const ask of ["mustStandBy", "otherWrote"] as const) {
    const { contention, confirmed, connection, answer, lost } = contended();
    const asked = contention[ask](connection);
    lost.reject(new Error("connection to the server was lost"));
    expect(asked).rejects.toThrow("connection to the server was lost");
    await asked.catch(() => {});
    answer.resolve({ state: { last_seq: 5 } });
    await Bun.sleep(5);
    contention.confirm(5, 5);
    expect(confirmed).toEqual([5]);
  }
});
