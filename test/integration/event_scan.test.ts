/** Looking at the events of a stream, on a real server. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { headers } from "@nats-io/transport-node";
import { type ScanOptions, scanEvents } from "../../src/flow/event_scan.ts";
import { waitFor } from "../support/wait_for.ts";
import { startJetStream, type TestJetStream } from "../unit/control/jetstream.ts";

let server: TestJetStream;
beforeEach(async () => {
  server = await startJetStream();
  await server.jsm.streams.add({ name: "in_acme", subjects: ["berlin.acme.>", "tokyo.acme.>"] });
});
afterEach(async () => await server[Symbol.asyncDispose]());

/** Sequences, subjects and payloads that a scan has looked at. */
interface Seen {
  readonly events: { sequence: number; subject: string; origin: string; text: string; pending: number }[];
  readonly options: ScanOptions;
}

function scan(options: Partial<ScanOptions> = {}): Seen {
  const events: Seen["events"] = [];
  const all: ScanOptions = {
    nc: server.nc,
    jsm: server.jsm,
    stream: "in_acme",
    filter: "berlin.acme.>",
    start: { sequence: 1 },
    end: null,
    onEvent: ({ sequence, subject, origin, data }, pending) => {
      events.push({ sequence, subject, origin, text: new TextDecoder().decode(data), pending });
    },
    onSlice: () => true,
    pace: () => ({ perSecond: 1_000_000, share: 0.9 }),
    signal: AbortSignal.timeout(30_000),
    ...options,
  };
  return { events, options: all };
}

async function publish(count: number, origin = "berlin", text = (n: number) => String(n)): Promise<void> {
  for (let n = 0; n < count; n++) await server.js.publish(`${origin}.acme.x.${n}`, text(n));
}

async function consumers(): Promise<number> {
  return (await server.jsm.streams.info("in_acme")).state.consumer_count;
}

describe("scanEvents()", () => {
  test("looks at the events of one origin from a sequence to another, in order, and leaves no consumer", async () => {
    for (let n = 0; n < 30; n++) await publish(1, n % 3 === 0 ? "tokyo" : "berlin", () => String(n));
    const { events, options } = scan({ start: { sequence: 5 }, end: 20 });
    expect(await scanEvents(options)).toBe("end");
    // Sequence n + 1; every third is of another origin.
    const expected = Array.from({ length: 30 }, (_, n) => n).filter((n) => n % 3 !== 0 && n >= 4 && n < 20);
    expect(events.map((one) => one.text)).toEqual(expected.map(String));
    expect(events.map((one) => one.sequence)).toEqual(expected.map((n) => n + 1));
    expect(events[0]).toMatchObject({ subject: "acme.x.0", origin: "berlin" });
    expect(await consumers()).toBe(0);
  });

  test("ends where the last event is gone, of another origin, or where there is none at all", async () => {
    await publish(10);
    await publish(5, "tokyo");
    const whole = scan({ end: 15 });
    expect(await scanEvents(whole.options)).toBe("end");
    expect(whole.events.length).toBe(10);
    expect(whole.events.at(-1)?.pending).toBe(0);
    await server.jsm.streams.deleteMessage("in_acme", 10);
    const cut = scan({ end: 15 });
    expect(await scanEvents(cut.options)).toBe("end");
    expect(cut.events.length).toBe(9);
    const none = scan({ start: { sequence: 16 }, end: 15 });
    expect(await scanEvents(none.options)).toBe("end");
    expect(none.events).toEqual([]);
  });

  test("begins with what was stored since a time", async () => {
    await publish(3);
    const { state } = await server.jsm.streams.info("in_acme");
    const since = Date.parse(state.last_ts) + 1;
    await waitFor(() => Date.now() > since, { what: "the next millisecond" });
    await publish(2);
    const { events, options } = scan({ start: { timeMs: since }, end: 5 });
    await scanEvents(options);
    expect(events.map((one) => one.sequence)).toEqual([4, 5]);
  });

  test("takes large events and headers, more than one request has room for", async () => {
    const large = "y".repeat(900_000);
    for (let n = 0; n < 6; n++) {
      const block = headers();
      block.set("region", "EU");
      await server.js.publish("berlin.acme.x", `${n}${large}`, { headers: block });
    }
    const blocks: string[] = [];
    const sizes: number[] = [];
    const { options } = scan({
      end: 6,
      onEvent: (event) => {
        blocks.push(new TextDecoder().decode(event.headers));
        sizes.push(event.data.length);
      },
    });
    expect(await scanEvents(options)).toBe("end");
    expect(sizes).toEqual(Array(6).fill(900_001));
    expect(new Set(blocks)).toEqual(new Set(["NATS/1.0\r\nregion: EU\r\n\r\n"]));
  });

  test("goes on with what comes until it is aborted or stopped", async () => {
    await publish(2);
    const abort = new AbortController();
    const { events, options } = scan({ signal: abort.signal });
    const running = scanEvents(options);
    await waitFor(() => events.length === 2, { what: "what was there" });
    await publish(1500);
    await waitFor(() => events.length === 1502, { deadlineMs: 20_000, what: "what came" });
    abort.abort();
    expect(await running).toBe("aborted");
    expect(events.map((one) => one.sequence)).toEqual(events.map((_, i) => i + 1));
    expect(await consumers()).toBe(0);
    const stopped = scan({ onSlice: () => false });
    expect(await scanEvents(stopped.options)).toBe("stopped");
    expect(stopped.events.length).toBeLessThan(1502);
    expect(await consumers()).toBe(0);
  }, 30_000);

  test("keeps to its share of the thread and to its rate, and gives the thread back between slices", async () => {
    await publish(200);
    let busyMs = 0;
    /** Each event costs half a millisecond, so that a slice holds few of them. */
    const onEvent = () => {
      const from = performance.now();
      while (performance.now() < from + 0.5);
      busyMs += performance.now() - from;
    };
    const took = async (pace: { perSecond: number; share: number }): Promise<number> => {
      busyMs = 0;
      const started = performance.now();
      expect(await scanEvents(scan({ end: 200, onEvent, pace: () => pace }).options)).toBe("end");
      return performance.now() - started;
    };
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    // Nine times its work in pauses; the last slice is not waited for.
    expect((await took({ perSecond: 1e6, share: 0.1 })) / busyMs).toBeGreaterThan(6);
    expect(await took({ perSecond: 200, share: 0.9 })).toBeGreaterThan(800);
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(50);
  });

  test("fails when the stream is not there", async () => {
    const { options } = scan({ stream: "out_none" });
    await expect(scanEvents(options)).rejects.toThrow("stream not found");
  });
});
