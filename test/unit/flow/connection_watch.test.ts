import { expect, test } from "bun:test";
import type { NatsConnection, Status } from "@nats-io/transport-node";
import { ConnectionWatch } from "../../../src/flow/connection_watch.ts";

/** A connection of which only its states are known. */
function connection(rtt: () => Promise<number> = async () => 1) {
  const states: Status["type"][] = [];
  let wake = () => {};
  let stopped = false;
  async function* statuses() {
    while (!stopped) {
      const type = states.shift();
      if (type !== undefined) yield { type } as Status;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const status = () =>
    Object.assign(statuses(), {
      stop: () => {
        stopped = true;
        wake();
      },
    });
  return {
    nc: { status, rtt, isClosed: () => false } as unknown as NatsConnection,
    say: async (type: Status["type"]) => {
      states.push(type);
      wake();
      await Bun.sleep(1);
    },
  };
}

/** Whether a promise has resolved by now. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  return await Promise.race([promise.then(() => true), Bun.sleep(5).then(() => false)]);
}

function watched(rtt?: () => Promise<number>) {
  const { nc, say } = connection(rtt);
  const heard: string[] = [];
  const watch = new ConnectionWatch(nc, { down: () => heard.push("down"), up: () => heard.push("up") });
  return { watch, say, heard };
}

test("a request ends with the connection that it was sent over", async () => {
  const { watch, say, heard } = watched();
  expect(await watch.during(Promise.resolve(7))).toBe(7);
  const first = watch.during(new Promise(() => {})).catch((error: unknown) => String(error));
  await say("disconnect");
  expect(await first).toContain("connection to the server was lost");
  expect(watch.isUp).toBe(false);
  await say("reconnect");
  expect(watch.isUp).toBe(true);
  const second = watch.during(new Promise(() => {}));
  expect(await isDone(second)).toBe(false);
  expect(heard).toEqual(["down", "up"]);
});

test("a connection that is down already is not taken for up, and a request over it ends at once", async () => {
  const { watch, say, heard } = watched(() => Promise.reject(new Error("connection disconnected")));
  const up = watch.up();
  expect(await isDone(up)).toBe(false);
  expect(watch.isUp).toBe(false);
  expect(watch.during(new Promise(() => {}))).rejects.toThrow("connection to the server was lost");
  await say("reconnect");
  expect(await isDone(up)).toBe(true);
  expect(await watch.during(Promise.resolve(7))).toBe(7);
  expect(heard).toEqual(["down", "up"]);
});

test("an answer that comes late says nothing of a connection that is back", async () => {
  const rtt = Promise.withResolvers<number>();
  const { watch, say } = watched(() => rtt.promise);
  await say("disconnect");
  await say("reconnect");
  rtt.reject(new Error("connection disconnected"));
  await isDone(watch.up());
  expect(watch.isUp).toBe(true);
});

test("a request's own failure is told as it is", async () => {
  const { watch } = watched();
  expect(watch.during(Promise.reject(new Error("stream not found")))).rejects.toThrow("stream not found");
});

test("who waits for a server goes on when it is there, when the connection is closed, and when nobody watches any more", async () => {
  for (const end of ["reconnect", "close", "dispose"] as const) {
    const { watch, say } = watched();
    expect(await isDone(watch.up())).toBe(true);
    await say("disconnect");
    const up = watch.up();
    await say("reconnecting");
    expect(await isDone(up)).toBe(false);
    if (end === "dispose") watch[Symbol.dispose]();
    else await say(end);
    expect(await isDone(up)).toBe(true);
  }
});
