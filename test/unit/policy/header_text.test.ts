import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { headerBlock, headerRecord } from "../../../src/policy/header_text.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (block: string) => new TextEncoder().encode(block);

describe("headerBlock()", () => {
  test("is empty when there are no headers", () => {
    expect(headerBlock({})).toEqual(new Uint8Array());
    expect(headerBlock({ region: [] })).toEqual(new Uint8Array());
  });

  test("writes each value of a repeated name, in order, in UTF-8", () => {
    expect(text(headerBlock({ region: "EU", "X-A": ["1", "ü"] }))).toBe(
      "NATS/1.0\r\nregion: EU\r\nX-A: 1\r\nX-A: ü\r\n\r\n",
    );
  });

  test("refuses what would end a line or a name early, and names the header", () => {
    for (const [name, value] of [
      ["a b", "x"],
      ["a:b", "x"],
      ["", "x"],
      ["ü", "x"],
      ["a\r\nb", "x"],
      ["region", "x\r\ny: z"],
      ["region", "x\ny"],
      ["region", "\0"],
    ] as const) {
      let thrown: unknown;
      try {
        headerBlock({ [name]: value });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(LeafmeshError);
      expect(thrown).toMatchObject({
        code: "request_invalid",
        message: expect.stringContaining(`'${name}'`),
      });
    }
  });
});

describe("headerRecord()", () => {
  test("reads back what headerBlock() wrote", () => {
    const record = { region: ["EU"], "X-A": ["1", "ü", ""] };
    expect(headerRecord(headerBlock(record))).toEqual(record);
  });

  test("tells names of different case apart, and keeps colons of values", () => {
    const block = bytes("NATS/1.0\r\nA: x:y\r\na:z\r\n\r\n");
    expect(headerRecord(block)).toEqual({ A: ["x:y"], a: ["z"] });
  });

  test("reads names that every object of JavaScript has, and repeats of them", () => {
    const block = bytes("NATS/1.0\r\nconstructor: a\r\n__proto__: b\r\n__proto__: c\r\ntoString: d\r\n\r\n");
    expect(Object.entries(headerRecord(block))).toEqual([
      ["constructor", ["a"]],
      ["__proto__", ["b", "c"]],
      ["toString", ["d"]],
    ]);
  });

  test("overlooks lines that are no headers", () => {
    expect(headerRecord(bytes("NATS/1.0 503\r\nnonsense\r\n: x\r\n\r\n"))).toEqual({});
    expect(headerRecord(new Uint8Array())).toEqual({});
  });
});
