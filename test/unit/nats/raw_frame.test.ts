import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FrameBuffer, writeDigits } from "../../../src/nats/raw_frame.ts";

const SEED = 20_262;
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const REPLY = "_INBOX.abc";
const BLANKS = " ".repeat(REPLY.length);

describe("writeDigits()", () => {
  test("writes any sequence as decimal digits", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.maxSafeNat(), fc.nat(), fc.constantFrom(0, 9, 10, 0x3fffffff, 0x40000000)),
        (value) => {
          const bytes = new Uint8Array(20).fill(32);
          const end = writeDigits(bytes, 2, value);
          expect(textOf(bytes.subarray(2, end))).toBe(String(value));
          expect(textOf(bytes.subarray(end)).trim()).toBe("");
        },
      ),
      { seed: SEED, numRuns: 1000 },
    );
  });
});

describe("FrameBuffer", () => {
  const block = fc.uint8Array({ maxLength: 400 });
  const part = fc.record({
    subject: fc.uint8Array({ minLength: 1, maxLength: 60 }),
    head: block,
    tail: block,
    data: block,
  });

  test("writes each message as the protocol asks; the last of a chunk asks for an answer", () => {
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 64, max: 2000 }),
        (parts, size) => {
          const sent: string[] = [];
          const frames = new FrameBuffer(size, REPLY, (bytes) => sent.push(textOf(bytes)));
          const expected = parts.map(({ subject, head, tail, data }, i) => {
            frames.write({ subject, head, headTo: head.length, tail, tailFrom: 0, data }, i + 998);
            const headers = `NATS/1.0\r\nNats-Expected-Last-Sequence: ${i + 998}\r\n${textOf(head)}${textOf(tail)}`;
            const total = headers.length + data.length;
            return (reply: string) =>
              `HPUB ${textOf(subject)} ${reply} ${headers.length} ${total}\r\n${headers}${textOf(data)}\r\n`;
          });
          frames.flush();
          let at = 0;
          for (const chunk of sent) {
            let text = "";
            while (text.length < chunk.length) {
              const write = expected[at++];
              if (write === undefined) throw new Error("more was sent than written");
              const last = text.length + write(REPLY).length === chunk.length;
              text += write(last ? REPLY : BLANKS);
            }
            expect(chunk).toBe(text);
          }
          expect(at).toBe(parts.length);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("copies what it is given, and sends nothing that was cleared", () => {
    const sent: string[] = [];
    const frames = new FrameBuffer(1024, REPLY, (bytes) => sent.push(textOf(bytes)));
    const data = new Uint8Array([97, 97]);
    const empty = new Uint8Array(0);
    const one = { subject: new Uint8Array([115]), head: empty, headTo: 0, tail: empty, tailFrom: 0, data };
    frames.write(one, 1);
    data.fill(98);
    frames.flush();
    frames.write(one, 2);
    frames.clear();
    frames.flush();
    expect(sent.length).toBe(1);
    expect(sent[0]).toEndWith("aa\r\n");
  });
});
