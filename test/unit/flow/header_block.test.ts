import { describe, expect, test } from "bun:test";
import {
  findMsgId,
  headerLinesStart,
  headerValue,
  singleLine,
  withoutBytes,
} from "../../../src/flow/header_block.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (block: Uint8Array) => new TextDecoder().decode(block);

describe("findMsgId()", () => {
  const value = (block: string) => {
    const line = findMsgId(bytes(block));
    return line === null ? null : text(bytes(block).subarray(line.valueStart, line.valueEnd));
  };

  test("finds the value wherever the line is", () => {
    expect(value("NATS/1.0\r\nNats-Msg-Id: a-1\r\n\r\n")).toBe("a-1");
    expect(value("NATS/1.0\r\nA: b\r\nNats-Msg-Id:a-1  \r\nC: d\r\n\r\n")).toBe("a-1");
    expect(value("NATS/1.0 200 OK\r\nNats-Msg-Id: a\r\n\r\n")).toBe("a");
  });

  test("finds none when there is none, or it is empty, or has another name", () => {
    expect(value("")).toBeNull();
    expect(value("NATS/1.0\r\n\r\n")).toBeNull();
    expect(value("NATS/1.0\r\nNats-Msg-Id: \r\n\r\n")).toBeNull();
    expect(value("NATS/1.0\r\nnats-msg-id: a\r\nNats-Msg-Ids: b\r\nX: Nats-Msg-Id: c\r\n\r\n")).toBeNull();
  });
});

describe("header blocks", () => {
  test("headerLinesStart() skips the first line", () => {
    expect(headerLinesStart(bytes("NATS/1.0\r\nA: b\r\n\r\n"))).toBe(10);
    expect(headerLinesStart(bytes("NATS/1.0 503\r\n\r\n"))).toBe(14);
    expect(headerLinesStart(bytes(""))).toBe(0);
  });

  test("withoutBytes() cuts a range", () => {
    expect(text(withoutBytes(bytes("abcdef"), 2, 4))).toBe("abef");
  });

  test("headerValue() takes the first of a name", () => {
    expect(headerValue(bytes("NATS/1.0\r\nA: 1\r\nB: 2:3\r\nB: 4\r\n\r\n"), "B")).toBe("2:3");
    expect(headerValue(bytes("NATS/1.0\r\nA: 1\r\n\r\n"), "a")).toBeNull();
  });

  test("singleLine() leaves nothing that could start another header", () => {
    expect(singleLine("a\r\nX: y\u0000\u2028ü\t")).toBe("a X: y ??");
    expect(singleLine("x".repeat(600))).toHaveLength(512);
  });
});
