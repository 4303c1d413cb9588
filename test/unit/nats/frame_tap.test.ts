import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FrameTap } from "../../../src/nats/frame_tap.ts";

const SEED = 20_261;
const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const textOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

interface Heard {
  readonly subject: string;
  readonly reply: string;
  readonly headers: string;
  readonly data: string;
}

/** Feeds chunks to a tap of subscription 7. @returns what it took, and what went on to the client */
function feed(chunks: readonly Uint8Array[]): { taken: Heard[]; rest: string[] } {
  const taken: Heard[] = [];
  const rest: string[] = [];
  const tap = new FrameTap((bytes) => rest.push(textOf(bytes)));
  tap.tap(7, (places) => {
    const part = (from: number, to: number) => textOf(places.bytes.subarray(from, to));
    taken.push({
      subject: part(places.subjectFrom, places.subjectTo),
      reply: part(places.replyFrom, places.replyTo),
      headers: part(places.headersFrom, places.dataFrom),
      data: part(places.dataFrom, places.dataTo),
    });
  });
  for (const chunk of chunks) tap.parse(chunk);
  return { taken, rest };
}

function frame(sid: number, { subject, reply, headers, data }: Heard): string {
  const words = reply === "" ? `${subject} ${sid}` : `${subject} ${sid} ${reply}`;
  return headers === ""
    ? `MSG ${words} ${data.length}\r\n${data}\r\n`
    : `HMSG ${words} ${headers.length} ${headers.length + data.length}\r\n${headers}${data}\r\n`;
}

describe("FrameTap", () => {
  const token = fc.stringMatching(/^[a-zA-Z0-9$_.\u00e4\u00ff-]{1,40}$/);
  // Payloads that look like frames, like ends of lines, like anything.
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map(textOf),
    fc.constantFrom("\r\n", "MSG a 7 3\r\nabc\r\n", "HMSG a 7 12 12\r\n", "\n\n", "PING\r\n"),
  );
  const message = fc.record({
    sid: fc.constantFrom(7, 7, 7, 8, 77),
    heard: fc.record({
      subject: token,
      reply: fc.oneof(fc.constant(""), token),
      headers: fc.oneof(
        fc.constant(""),
        bytes.map((text) => `NATS/1.0\r\n${text}\r\n\r\n`),
      ),
      data: bytes,
    }),
  });
  const control = fc.constantFrom(
    "PING\r\n",
    "PONG\r\n",
    "+OK\r\n",
    `INFO {"server_id":"a b c d e f g h i j k"}\r\n`,
    "-ERR 'x y z a b c d e f'\r\n",
  );
  const item = fc.oneof({ weight: 5, arbitrary: message }, { weight: 1, arbitrary: control });

  test("takes each message of its subscription as it is, and passes all else on, however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(item, { maxLength: 12 }),
        fc.array(fc.nat(400), { maxLength: 30 }),
        (items, cuts) => {
          const frames = items.map((one) => (typeof one === "string" ? one : frame(one.sid, one.heard)));
          const all = latin1(frames.join(""));
          const places = [...cuts.map((cut) => (all.length === 0 ? 0 : cut % all.length)), all.length].sort(
            (left, right) => left - right,
          );
          let from = 0;
          const chunks = places.map((to) => {
            const chunk = all.slice(from, to);
            from = to;
            return chunk;
          });
          const { taken, rest } = feed(chunks);
          expect(taken).toEqual(
            items.flatMap((one) => (typeof one !== "string" && one.sid === 7 ? [one.heard] : [])),
          );
          // The client gets whole frames: it is between two of them whenever the tap looks.
          expect(rest).toEqual(
            frames.filter((_, i) => {
              const one = items[i];
              return typeof one === "string" || one?.sid !== 7;
            }),
          );
        },
      ),
      { seed: SEED, numRuns: 400 },
    );
  });

  test("takes a payload that is much larger than a chunk", () => {
    const heard = { subject: "a.b", reply: "r", headers: "NATS/1.0\r\n\r\n", data: "x".repeat(300_000) };
    const all = latin1(frame(7, heard));
    const chunks = Array.from({ length: Math.ceil(all.length / 1000) }, (_, i) =>
      all.slice(i * 1000, (i + 1) * 1000),
    );
    expect(feed(chunks).taken).toEqual([heard]);
  });

  test("leaves a line without an end to the client", () => {
    const { taken, rest } = feed([latin1("X".repeat(20_000))]);
    expect(taken).toEqual([]);
    expect(rest).toEqual(["X".repeat(20_000)]);
  });

  test("takes nothing more once it is told", () => {
    const rest: string[] = [];
    const tap = new FrameTap((bytes) => rest.push(textOf(bytes)));
    tap.tap(7, () => {
      throw new Error("taken");
    });
    tap.untap(7);
    tap.parse(latin1("MSG a 7 1\r\nx\r\n"));
    expect(rest).toEqual(["MSG a 7 1\r\nx\r\n"]);
  });
});
