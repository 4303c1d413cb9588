import { describe, expect, test } from "bun:test";
import { scannerSource } from "../../../../scripts/wasm/source.ts";
import { buildAutomaton } from "../../../../src/policy/redact/automaton.ts";
import { FAULT } from "../../../../src/policy/redact/limits.ts";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { Scanner } from "../../../../src/policy/redact/scan.ts";
import { SCANNER_SOURCE } from "../../../../src/policy/redact/scan_wasm.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";

const encoder = new TextEncoder();

describe("the scanner's module", () => {
  test("was built from the sources that are here: else run scripts/build-wasm", () => {
    expect(SCANNER_SOURCE).toBe(scannerSource());
  });
});

describe("strings, which are read eight bytes at a time", () => {
  const scanner = new Scanner(new Workspace());

  test("every byte at every place of a word is taken as JSON.parse takes it", () => {
    const wrong: string[] = [];
    for (let blank = 0; blank < 8; blank++) {
      for (let place = 0; place < 17; place++) {
        for (let byte = 0; byte < 256; byte++) {
          const data = encoder.encode(`${" ".repeat(blank)}["${"x".repeat(17)}",1]`);
          data[blank + 2 + place] = byte;
          let valid = true;
          try {
            JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data));
          } catch {
            valid = false;
          }
          if ((scanner.scan(data) === FAULT.ok) !== valid) wrong.push(`${blank} ${place} ${byte}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  }, 60_000);

  test("a string that the text ends in is refused, whatever an earlier text left behind it", () => {
    for (let length = 0; length < 40; length++) {
      expect(scanner.scan(encoder.encode(`"${"y".repeat(80)}"]}`))).not.toBe(FAULT.ok);
      expect(scanner.scan(encoder.encode(`"${"x".repeat(length)}`))).toBe(FAULT.notJson);
      expect(scanner.scan(encoder.encode(`"${"x".repeat(length)}\\`))).toBe(FAULT.notJson);
      expect(scanner.scan(encoder.encode(`"${"x".repeat(length)}\\u12`))).toBe(FAULT.notJson);
      expect(scanner.scan(encoder.encode(`"${"x".repeat(length)}"`))).toBe(FAULT.ok);
    }
  });

  test("a fault is told where it is", () => {
    const place = (text: string) => {
      expect(scanner.scan(encoder.encode(text))).not.toBe(FAULT.ok);
      return scanner.at;
    };
    expect(place('{"a":"0123456789\n"}')).toBe(16);
    expect(place('{"a":"01234\\x"}')).toBe(11);
    expect(place('{"a" 1}')).toBe(5);
    expect(place("[1,01]")).toBe(4);
    expect(place("[1}")).toBe(2);
    expect(place("1 2")).toBe(2);
  });
});

describe("names", () => {
  test("with escapes are found among names of any length, and longer ones are passed over", () => {
    const names = ["a", "a".repeat(30), "a".repeat(31), "a".repeat(32), "a".repeat(300), "é"];
    const redactor = compileRedactor(names.map((name) => ({ path: `$['${name}']`, with: "mask" as const })));
    const escaped = (name: string) =>
      [...name].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
    for (const name of [...names, "b", "a".repeat(33), "a".repeat(299), "a".repeat(5000), ""]) {
      for (const written of [name, escaped(name)]) {
        const result = redactor.apply(encoder.encode(`{"${written}":1,"c":2}`));
        const text = result.type === "ok" ? new TextDecoder().decode(result.data) : result.error;
        expect(text).toBe(`{"${written}":${names.includes(name) ? '"***"' : 1},"c":2}`);
      }
    }
  }, 60_000);
});

describe("a workspace that many scanners share", () => {
  test("keeps their tables when it grows and when it gives memory back", () => {
    const workspace = new Workspace();
    const large = encoder.encode(`["${"x".repeat(6_000_000)}"]`);
    const redactors = Array.from({ length: 100 }, (_, i) =>
      compileRedactor([{ path: `$.name${i}.*`, with: "replace", value: i }], { workspace }),
    );
    for (let round = 0; round < 3; round++) {
      for (const [i, redactor] of redactors.entries()) {
        const result = redactor.apply(encoder.encode(`{"name${i}":["secret"],"name":["kept"]}`));
        expect(result.type === "ok" && new TextDecoder().decode(result.data)).toBe(
          `{"name${i}":[${i}],"name":["kept"]}`,
        );
      }
      expect(redactors[round]?.apply(large)).toEqual({ type: "ok", data: large, count: 0 });
    }
    expect(workspace.bytes.length).toBeGreaterThan(6_000_000);
    redactors[0]?.apply(encoder.encode("{}"));
    expect(workspace.bytes.length).toBeLessThan(4_000_000);
  }, 60_000);

  test("writes tables again that had to make room for others", () => {
    const workspace = new Workspace();
    const redactors = Array.from({ length: 60 }, (_, i) =>
      compileRedactor([{ path: `$['${"n".repeat(5000 + i)}']`, with: "mask" }], { workspace }),
    );
    for (let round = 0; round < 2; round++) {
      for (const [i, redactor] of redactors.entries()) {
        expect(redactor.apply(encoder.encode(`{"${"n".repeat(5000 + i)}":1}`))).toMatchObject({ count: 1 });
        expect(redactor.apply(encoder.encode('{"n":1}'))).toMatchObject({ count: 0 });
      }
    }
    expect(workspace.generation).toBeGreaterThan(1);
    expect(workspace.base).toBeLessThan(256 * 1024 + 1);
  }, 60_000);

  test("a step that throws leaves the scanner as it was", () => {
    const automaton = buildAutomaton([
      {
        segments: [{ descendant: false, selectors: [{ type: "name", name: "a" }] }],
        strength: 1,
        removes: false,
        detects: false,
      },
    ]);
    if (automaton.type !== "ok") throw new Error(automaton.problem);
    let fails = true;
    const value = () => {
      if (fails) throw new Error("on purpose");
      return FAULT.ok;
    };
    const scanner = new Scanner(new Workspace(), {
      root: automaton.root,
      editor: { value, text: () => FAULT.ok, name: () => FAULT.ok },
    });
    const data = encoder.encode('{"b":{"c":[1,{"d":2}]},"a":1}');
    expect(() => scanner.scan(data)).toThrow("on purpose");
    fails = false;
    expect(scanner.scan(data)).toBe(FAULT.ok);
    expect(scanner.members).toBe(4);
  });
});
