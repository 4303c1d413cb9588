import { describe, expect, test } from "bun:test";
import { SubjectCache } from "../../../src/flow/subject_cache.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("SubjectCache", () => {
  test("knows each subject by its bytes, whatever chunk they are in and however many there are", () => {
    const cache = new SubjectCache();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10_000; i++) {
        const subject = `tokyo.acme.orders.${i}.ä`;
        const chunk = bytesOf(`...${subject} x`);
        const known = cache.get(chunk, 3, chunk.length - 2);
        if (known.stored !== subject) throw new Error(`${known.stored} is not ${subject}`);
        expect(known.subject).toBe(`acme.orders.${i}.ä`);
      }
    }
    expect(cache.get(bytesOf("tokyo.acme.x"), 0, 12)).toEqual({
      bytes: bytesOf("tokyo.acme.x"),
      stored: "tokyo.acme.x",
      subject: "acme.x",
      origin: "tokyo",
      problem: null,
      wanted: true,
    });
  });

  test("keeps its own copy of the bytes", () => {
    const cache = new SubjectCache();
    const chunk = bytesOf("tokyo.acme.x");
    cache.get(chunk, 0, chunk.length);
    chunk[chunk.length - 1] = 121;
    expect(cache.get(chunk, 0, chunk.length).stored).toBe("tokyo.acme.y");
  });

  test("says which subjects the filters pass", () => {
    const cache = new SubjectCache(["tokyo.acme.*.v1", "tokyo.acme.x.>"]);
    const wanted = (text: string) => cache.get(bytesOf(text), 0, text.length).wanted;
    expect(["tokyo.acme.a.v1", "tokyo.acme.x.y.z"].map(wanted)).toEqual([true, true]);
    expect(["tokyo.acme.a.v2", "tokyo.acme.x", "tokyo.acme.a.b.v1"].map(wanted)).toEqual([
      false,
      false,
      false,
    ]);
  });

  test("says what is wrong with a subject", () => {
    const cache = new SubjectCache();
    const long = bytesOf(`tokyo.acme.${"x".repeat(4000)}`);
    expect(cache.get(long, 0, long.length).problem).toBe(
      "Subject of 4011 bytes is longer than a view takes (3840)",
    );
    const bad = new Uint8Array([...bytesOf("tokyo.acme."), 0xff, 0xfe]);
    expect(cache.get(bad, 0, bad.length).problem).toBe("Subject is not valid UTF-8");
    const replaced = bytesOf("tokyo.acme.\ufffd");
    expect(cache.get(replaced, 0, replaced.length).problem).toBeNull();
  });
});
