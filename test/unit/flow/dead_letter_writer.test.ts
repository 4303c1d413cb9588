import { describe, expect, test } from "bun:test";
import { deadLetterFrame, deadLetterSubject } from "../../../src/flow/dead_letter_writer.ts";

const entry = (headers: string, size: number) => ({
  event: {
    subject: "acme.orders.x",
    headers: new TextEncoder().encode(headers),
    data: new Uint8Array(size),
    origin: "tokyo",
    timeMs: 0,
    sequence: 42,
  },
  rule: { policy: "eu", index: 0, name: "first\r\nInjected: yes" },
  reason: "payload_not_json" as const,
  error: "bad\r\nInjected: yes",
  version: "v1",
  epoch: "abc",
});

describe("deadLetterFrame()", () => {
  const text = (frame: ReturnType<typeof deadLetterFrame>) => new TextDecoder().decode(frame.headers);

  test("keeps the event whole where it fits", () => {
    const frame = deadLetterFrame(entry("NATS/1.0\r\nA: b\r\n\r\n", 100), 1024 * 1024);
    expect(frame.data).toHaveLength(100);
    expect(text(frame)).toContain(`Leafmesh-Dlq-Headers: ${btoa("NATS/1.0\r\nA: b\r\n\r\n")}\r\n`);
    expect(text(frame)).toContain("Nats-Msg-Id: eu:abc:42\r\n");
    expect(text(frame)).not.toContain("Truncated");
    expect(text(frame)).not.toContain("\nInjected");
  });

  test("cuts what no message could hold, and says so", () => {
    const large = deadLetterFrame(entry("", 10_000), 8_000);
    expect(large.headers.length + large.data.length).toBe(8_000);
    expect(text(large)).toContain("Leafmesh-Dlq-Truncated: 0 10000\r\n");
    const headers = deadLetterFrame(entry(`NATS/1.0\r\nA: ${"x".repeat(60_000)}\r\n\r\n`, 10), 1024 * 1024);
    expect(headers.headers.length).toBeLessThan(64 * 1024);
    expect(headers.data).toHaveLength(10);
    expect(text(headers)).toContain("Leafmesh-Dlq-Truncated: 60017 10\r\n");
  });
});

describe("deadLetterSubject()", () => {
  test("is the event's own, or a first part of it that is a subject too", () => {
    expect(deadLetterSubject("acme.orders.x")).toBe("dlq.acme.orders.x");
    expect(deadLetterSubject(`acme.${"a".repeat(4000)}`)).toBe(`dlq.acme.${"a".repeat(1019)}`);
    expect(deadLetterSubject(`acme.${"a".repeat(1018)}.b`)).toBe(`dlq.acme.${"a".repeat(1018)}`);
  });
});
